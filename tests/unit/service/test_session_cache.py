"""Sessions with a continuous cache keep every promise that sessions make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from models.cache import CacheConfig, ModelCache
from service.engine import trail
from service.engine.decode import Ask
from service.engine.fleet import Fleet
from service.errors import BadRequestError
from service.sessions.advance import Advance
from service.sessions.cache import CacheWish, choose_cache
from service.sessions.codec import Codec
from service.sessions.ids import IdMint
from service.sessions.keeper import Keeper
from service.sessions.memory import MemoryStore
from service.sessions.packer import Packer
from service.sessions.rules import Rules
from service.sessions.session import Session
from tests.unit.service.edits import after_every_edit, edits

RULES = Rules(idle_ttl_s=60, total_ttl_s=600, max_tokens=80, max_marks=3, max_cache=9)
CACHE = CacheWish(True, 5, 0.4, 0.3)
TEXT = "Anna saw Zorro by the lake, Zorro saw Anna by the lake"


@pytest.fixture
def keeper(fleet: Fleet) -> Keeper:
    """A keeper that allows caches of nine words."""
    return build_keeper(fleet, MemoryStore(5), RULES)


def build_keeper(fleet: Fleet, store: MemoryStore, rules: Rules) -> Keeper:
    """A keeper of the sessions in a store; time stands still."""
    packer, mint = Packer(fleet, Codec(b"secret")), IdMint(b"secret")
    return Keeper(fleet, store, packer, mint, rules, lambda: 1_000.0)


@pytest.fixture
def little_slack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trails go back two places beyond the cache, so that most edits must replay."""
    monkeypatch.setattr(trail, "SLACK", 2)


async def opened(keeper: Keeper, text: str = "", cache: CacheWish = CACHE) -> Session:
    """A new session with a cache."""
    session, _ = await keeper.open(None, None, text, Ask(5), None, cache)
    return session


async def assert_as_fresh(keeper: Keeper, session_id: str) -> None:
    """Cache and answers are bit for bit those of a fresh session that was told the same text."""
    session = await keeper.describe(session_id)
    fresh = await opened(keeper, "" if session.pending else session.text)
    if session.pending:
        await keeper.sync_text(fresh.id, session.text, Ask(5))
        fresh = await keeper.describe(fresh.id)
    assert session.cache is not None
    assert session.trail is not None
    assert fresh.trail is not None
    held = min(session.position, session.cache.size)
    assert held <= len(session.trail) <= session.cache.size + trail.SLACK
    ours, theirs = (found.hidden_MD[-held:] for found in (session.trail, fresh.trail))
    assert not held or np.array_equal(ours, theirs)
    for prefix in ("", "z"):
        expected = await keeper.predictions(fresh.id, Ask(5), prefix)
        assert expected == await keeper.predictions(session_id, Ask(5), prefix)
    await keeper.close(fresh.id)


async def test_a_name_of_the_text_is_offered_again(keeper: Keeper) -> None:
    """Though the vocabulary does not hold it; without a cache nothing starts with Z."""
    for cache, words in ((CACHE, ["Zorro"]), (CacheWish(False), [])):
        session = await opened(keeper, "Anna saw Zorro", cache)
        _, answer = await keeper.sync_text(session.id, "Anna saw Zorro by Zo", Ask(5))
        assert words == [word.word for word in answer.predictions]


async def test_a_name_is_forgotten_behind_as_many_words_as_the_cache_holds(keeper: Keeper) -> None:
    """Five tokens on, it is out of a cache of five."""
    session = await opened(keeper, "Zorro saw Anna by the")
    assert ["Zorro"] == [p.word for p in await keeper.predictions(session.id, Ask(5), "Z")]
    await keeper.advance(session.id, Advance("lake", None, Ask(5)))
    assert [] == await keeper.predictions(session.id, Ask(5), "Z")


EDITS = edits(st.text("Zn saw. dogs\n 'x", max_size=40), pasted=st.text("the Zo.\n '", max_size=20))


@pytest.mark.usefixtures("little_slack")
async def test_any_edit_is_exact(keeper: Keeper) -> None:
    """Typing, deleting, pasting anywhere: always what a fresh session on that text would be."""
    session = await opened(keeper)

    async def see(text: str) -> None:
        await keeper.sync_text(session.id, text, Ask(5))
        await assert_as_fresh(keeper, session.id)

    await after_every_edit(EDITS, see)


@pytest.mark.usefixtures("little_slack")
@pytest.mark.parametrize("position", range(13))
async def test_a_rewind_is_exact(keeper: Keeper, position: int) -> None:
    """Near or far, replayed or not."""
    session = await opened(keeper, TEXT)
    await keeper.rewind(session.id, position, Ask(5))
    await assert_as_fresh(keeper, session.id)


async def test_taking_back_a_few_words_replays_nothing(keeper: Keeper) -> None:
    """The trail goes further back than the cache."""
    session = await opened(keeper, TEXT)
    engine = await keeper._fleet.engine()
    for back in (1, 2):
        position = session.position - back
        assert [] == session.edit_back_to(engine.tokenizer, position).token_ids


async def test_a_fork_and_a_moved_session_recall_the_same(keeper: Keeper, fleet: Fleet) -> None:
    """A copy, here or on another server, answers as its origin does."""
    origin = await opened(keeper, TEXT)
    expected = await keeper.predictions(origin.id, Ask(5), "")
    _, answer = await keeper.fork(origin.id, Ask(5))
    assert expected == answer.predictions
    packer = Packer(fleet, Codec(b"secret"))
    other = Keeper(fleet, MemoryStore(3), packer, IdMint(b"o"), RULES, lambda: 1_000.0)
    moved, answer = await other.import_state(await keeper.export(origin.id), Ask(5))
    assert expected == answer.predictions
    await assert_as_fresh(other, moved.id)


async def test_a_server_takes_no_session_whose_cache_is_too_large(
    keeper: Keeper, fleet: Fleet
) -> None:
    """Memory is bounded for those that come from elsewhere too."""
    blob = await keeper.export((await opened(keeper, TEXT)).id)
    other = build_keeper(fleet, MemoryStore(3), replace(RULES, max_cache=4))
    with pytest.raises(BadRequestError, match="5 words is more than the 4"):
        await other.import_state(blob, Ask(5))


async def test_a_session_that_goes_over_to_a_newer_model_keeps_its_cache(fleet: Fleet) -> None:
    """Its text is read anew, and so is what the cache holds."""
    store = MemoryStore(5)
    keeper = build_keeper(fleet, store, RULES)
    session, _ = await keeper.open("talker", 1, TEXT, Ask(5), None, CACHE)
    keeper = build_keeper(fleet, store, replace(RULES, migrate=True))
    await keeper.advance(session.id, Advance("and", None, Ask(5)))
    await assert_as_fresh(keeper, session.id)


OFF = ModelCache(size=7, theta=0.2, share=0.1)
ON = OFF.model_copy(update={"by_default": True})
OWN = CacheConfig(size=7, theta=0.2, share=0.1)


@pytest.mark.parametrize(
    ("wish", "model", "most", "expected"),
    [
        (CacheWish(), None, 9, None),
        (CacheWish(), OFF, 9, None),
        (CacheWish(), ON, 9, OWN),
        (CacheWish(), ON, 0, None),
        (CacheWish(), ON, 5, CacheConfig(size=5, theta=0.2, share=0.1)),
        (CacheWish(False), ON, 9, None),
        (CacheWish(True), OFF, 9, OWN),
        (CacheWish(True, share=0.3), OFF, 9, CacheConfig(size=7, theta=0.2, share=0.3)),
        (CacheWish(True, 5, 0.4, 0.3), None, 9, CacheConfig(size=5, theta=0.4, share=0.3)),
    ],
)
def test_client_model_and_server_settle_the_cache(
    wish: CacheWish, model: ModelCache | None, most: int, expected: CacheConfig | None
) -> None:
    """The client's word counts first, then the model's; the server sets the bound."""
    assert expected == choose_cache(wish, model, most)


@pytest.mark.parametrize(
    ("wish", "model", "most", "message"),
    [
        (CacheWish(True), None, 9, "name its size, theta, share"),
        (CacheWish(True, 5), None, 9, "name its theta, share"),
        (CacheWish(True, 10), OFF, 9, "10 words is more than the 9"),
        (CacheWish(True), OFF, 0, "1 words is more than the 0"),
    ],
)
def test_an_impossible_cache_is_refused(
    wish: CacheWish, model: ModelCache | None, most: int, message: str
) -> None:
    """With what is missing or too much."""
    with pytest.raises(BadRequestError, match=message):
        choose_cache(wish, model, most)
