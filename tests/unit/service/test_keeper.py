"""Sessions: text sync, advance, retries, expiry, bounds."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from models.errors import BundleError, TextError, UnknownVersionError, VocabularyError
from service.engine.decode import Ask
from service.engine.fleet import Fleet
from service.errors import (
    BadRequestError,
    ExpiredSessionError,
    KeyReusedError,
    ServiceError,
    SessionsFullError,
    StaleStepError,
    TextTooLongError,
    UnknownSessionError,
)
from service.sessions.advance import Advance
from service.sessions.codec import Codec
from service.sessions.ids import IdMint
from service.sessions.keeper import Keeper
from service.sessions.memory import MemoryStore
from service.sessions.packer import Packer
from service.sessions.rules import Rules
from service.sessions.session import Session
from tests.unit.service.edits import after_every_edit, edits

RULES = Rules(idle_ttl_s=60, total_ttl_s=600, max_tokens=50, max_marks=3)
TEXT = "Anna saw the dogs by the lake"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The keeper's time."""
    return Clock()


@pytest.fixture
def keeper(fleet: Fleet, clock: Clock) -> Keeper:
    """A keeper with room for three sessions."""
    return build_keeper(fleet, MemoryStore(3), RULES, clock)


def build_keeper(fleet: Fleet, store: MemoryStore, rules: Rules, clock: Clock) -> Keeper:
    """A keeper of the sessions in a store."""
    return Keeper(fleet, store, Packer(fleet, Codec(b"secret")), IdMint(b"secret"), rules, clock)


async def opened(keeper: Keeper, text: str = "") -> Session:
    """A new session on a text."""
    session, _ = await keeper.open(None, None, text, Ask(3), None)
    return session


def advance(text: str, at: int | None = None, key: str | None = None) -> Advance:
    """An advance by text."""
    return Advance(text, None, Ask(3), at, key)


async def assert_as_fresh(keeper: Keeper, session_id: str) -> None:
    """A session is bit for bit what a fresh one is that read the same token ids."""
    session = await keeper.describe(session_id)
    fresh, _ = await keeper.open(None, None, "", Ask(3), None)
    if session.token_ids:
        fresh, _, _ = await keeper.advance(fresh.id, Advance(None, session.token_ids, Ask(3)))
    await keeper.close(fresh.id)
    arrays = zip(session.memory.state, fresh.memory.state, strict=True)
    assert all(np.array_equal(a, b) for a, b in arrays)
    assert np.array_equal(session.memory.hidden, fresh.memory.hidden)


async def test_a_session_opens_on_the_newest_version(keeper: Keeper) -> None:
    """Version 2 of two; an older one can be named, an unknown one not."""
    session = await opened(keeper)
    assert ("talker", 2, 0) == (session.model, session.version, session.position)
    older, _ = await keeper.open("talker", 1, "", Ask(3), None)
    assert 1 == older.version
    with pytest.raises(UnknownVersionError):
        await keeper.open("talker", 3, "", Ask(3), None)


@pytest.mark.parametrize(
    ("text", "position", "pending"),
    [
        ("", 0, ""),
        ("Ann", 0, "Ann"),
        ("Anna ", 1, ""),
        ("Anna saw th", 2, "th"),
        ("Anna saw the dogs.", 5, ""),
        ("Anna saw the dogs.\n", 6, ""),
        ("Anna saw the Zebra", 3, "Zebra"),
        ("Anna saw the Zebra ", 4, ""),
    ],
)
async def test_a_text_box_is_read_up_to_its_partial_word(
    keeper: Keeper, text: str, position: int, pending: str
) -> None:
    """The trailing partial word waits, and the text comes back as it was typed."""
    session = await opened(keeper)
    _, answer = await keeper.sync_text(session.id, text, Ask(3))
    assert (position, pending) == (answer.position, answer.pending)
    assert text == (await keeper.describe(session.id)).text


async def test_completions_start_with_the_partial_word(keeper: Keeper) -> None:
    """ "th" offers "the" and nothing that begins otherwise."""
    session = await opened(keeper)
    _, answer = await keeper.sync_text(session.id, "Anna saw TH", Ask(9))
    assert ["the"] == [p.word for p in answer.predictions]


EDITS = edits(
    st.text("Ann saw. dogs\n 'x", max_size=30), pasted=st.text("the dog.\n '", max_size=8)
)


async def test_any_edit_is_exact(keeper: Keeper) -> None:
    """Typing, deleting, pasting anywhere: always what a fresh session on that text would be."""
    session = await opened(keeper)

    async def see(text: str) -> None:
        await keeper.sync_text(session.id, text, Ask(3))
        engine = await keeper._fleet.engine()
        cut = engine.tokenizer.cut(text)
        now = await keeper.describe(session.id)
        assert engine.tokenizer.encode(cut.finished) == now.token_ids
        await assert_as_fresh(keeper, session.id)

    await after_every_edit(EDITS, see)


async def test_typing_on_reads_only_what_is_new(keeper: Keeper) -> None:
    """The planned change of one more word has one token to read; a deleted word has none."""
    session = await opened(keeper, TEXT)
    engine = await keeper._fleet.engine()
    tokenizer = engine.tokenizer
    longer = f"{TEXT}, and "
    edit = session.edit_to(tokenizer, longer, tokenizer.cut(longer))
    assert (7, 2) == (edit.keep, len(edit.token_ids))
    session, _ = await keeper.sync_text(session.id, longer, Ask(3))
    edit = session.edit_to(tokenizer, f"{TEXT} ", tokenizer.cut(f"{TEXT} "))
    assert (7, []) == (edit.keep, edit.token_ids)


async def test_advance_by_words_equals_the_text_as_a_whole(keeper: Keeper) -> None:
    """Words, and words with their spaces, come to the same session."""
    whole = await opened(keeper, TEXT)
    session = await opened(keeper, "Anna saw")
    await keeper.advance(session.id, advance("the dogs"))
    session, _, _ = await keeper.advance(session.id, advance(" by the lake "))
    assert whole.token_ids == session.token_ids
    await assert_as_fresh(keeper, session.id)


async def test_a_chosen_suggestion_replaces_the_partial_word(keeper: Keeper) -> None:
    """ "th" pending and "the" advanced make "the", not "th the"."""
    session = await opened(keeper)
    await keeper.sync_text(session.id, "Anna saw th", Ask(3))
    session, _, _ = await keeper.advance(session.id, advance("the"))
    assert ("Anna saw the", "") == (session.text, session.pending)


async def test_advance_by_token_ids_spells_them_out(keeper: Keeper) -> None:
    """The text grows by what the ids stand for."""
    session = await opened(keeper, "Anna")
    ids = (await keeper._fleet.engine()).tokenizer.encode("Anna saw the dogs.\nBen")[1:]
    session, _, _ = await keeper.advance(session.id, Advance(None, ids, Ask(3)))
    assert "Anna saw the dogs.\nBen" == session.text


async def test_the_same_step_sent_twice_is_applied_once(keeper: Keeper) -> None:
    """With `at` or with a key, the second answer is the first one again."""
    session = await opened(keeper, "Anna")
    for step in (advance("saw", at=1), advance("the", key="a"), advance("dogs", 3, key="b")):
        _, first, replayed_first = await keeper.advance(session.id, step)
        _, second, replayed_second = await keeper.advance(session.id, step)
        assert first == second
        assert (False, True) == (replayed_first, replayed_second)
    assert "Anna saw the dogs" == (await keeper.describe(session.id)).text


async def test_a_late_copy_is_recognised_behind_other_steps(keeper: Keeper) -> None:
    """A copy that was long on its way is answered as it was, and changes nothing any more."""
    session = await opened(keeper, "Anna")
    late = advance("saw", key="late")
    _, first, _ = await keeper.advance(session.id, late)
    for n in range(7):
        await keeper.advance(session.id, advance("the", key=str(n)))
    await keeper.sync_text(session.id, "Ben ", Ask(3))
    assert (first, True) == (await keeper.advance(session.id, late))[1:]
    assert "Ben " == (await keeper.describe(session.id)).text


async def test_two_copies_at_once_are_applied_once(keeper: Keeper) -> None:
    """They wait for each other; one runs, one is a replay."""
    session = await opened(keeper, "Anna")
    results = await asyncio.gather(
        *(keeper.advance(session.id, advance("saw", at=1)) for _ in range(2))
    )
    assert [False, True] == sorted(replayed for _, _, replayed in results)
    assert "Anna saw" == (await keeper.describe(session.id)).text


async def test_a_stale_step_is_refused_with_the_position(keeper: Keeper) -> None:
    """Another step at an old position, or one from the future, changes nothing."""
    session = await opened(keeper, "Anna")
    await keeper.advance(session.id, advance("saw", at=1))
    for stale in (advance("sees", at=1), advance("the", at=3)):
        with pytest.raises(StaleStepError) as caught:
            await keeper.advance(session.id, stale)
        assert {"position": 2} == caught.value.extra
    assert "Anna saw" == (await keeper.describe(session.id)).text


async def test_a_key_with_another_body_is_refused(keeper: Keeper) -> None:
    """The key belongs to the step it came with first."""
    session = await opened(keeper, "Anna")
    await keeper.advance(session.id, advance("saw", key="a"))
    with pytest.raises(KeyReusedError):
        await keeper.advance(session.id, advance("sees", key="a"))


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (advance(""), TextError),
        (advance("  "), TextError),
        (advance("a\0b"), TextError),
        (advance("\ud800"), TextError),
        (advance("dog " * 60), TextTooLongError),
        (Advance(None, [34], Ask(3)), VocabularyError),
        (Advance(None, [-1], Ask(3)), VocabularyError),
    ],
)
async def test_a_refused_step_leaves_the_session_as_it_was(
    keeper: Keeper, step: Advance, error: type[ServiceError | BundleError]
) -> None:
    """Text, tokens and memory are untouched."""
    session = await opened(keeper, TEXT)
    with pytest.raises(error):
        await keeper.advance(session.id, step)
    session = await keeper.describe(session.id)
    assert (TEXT, 7) == (session.text, session.position)
    await assert_as_fresh(keeper, session.id)


async def test_looking_changes_nothing(keeper: Keeper) -> None:
    """Predictions with another k or prefix leave position, text and pending alone."""
    session = await opened(keeper)
    await keeper.sync_text(session.id, "Anna s", Ask(3))
    assert ["the"] == [p.word for p in await keeper.predictions(session.id, Ask(3), "the")]
    found = [p.word for p in await keeper.predictions(session.id, Ask(9), "")]
    assert found
    assert all(word.startswith("s") for word in found)
    session = await keeper.describe(session.id)
    assert ("Anna s", "s", 1) == (session.text, session.pending, session.position)


async def test_an_idle_session_expires_and_use_prolongs_it(keeper: Keeper, clock: Clock) -> None:
    """Expired is told apart from deleted and from never there."""
    session = await opened(keeper, "Anna")
    clock.now_s += 59
    await keeper.sync_text(session.id, "Anna saw ", Ask(3))
    clock.now_s += 59
    assert "Anna saw " == (await keeper.describe(session.id)).text
    clock.now_s += 2
    for _ in range(2):
        with pytest.raises(ExpiredSessionError):
            await keeper.describe(session.id)
    with pytest.raises(UnknownSessionError):
        await keeper.describe(IdMint(b"other").make(clock.now_s, 60))


async def test_a_deleted_session_is_unknown(keeper: Keeper) -> None:
    """Also to a step that was waiting for its turn."""
    session = await opened(keeper, "Anna")
    async with keeper._turn(session.id):
        waiting = asyncio.create_task(keeper.advance(session.id, advance("saw")))
        await asyncio.sleep(0)
        await keeper._store.remove(session.id)
    with pytest.raises(UnknownSessionError):
        await waiting


async def test_a_client_may_ask_for_a_shorter_life_only(keeper: Keeper) -> None:
    """The server's limit stands above `ttl_s`."""
    short, _ = await keeper.open(None, None, "", Ask(3), 5)
    long, _ = await keeper.open(None, None, "", Ask(3), 5000)
    assert (1_005, 1_060) == (short.expires_at_s, long.expires_at_s)


async def test_there_is_room_for_so_many_sessions_only(keeper: Keeper, clock: Clock) -> None:
    """A fourth of three is refused, unless one of them has expired."""
    for _ in range(3):
        await opened(keeper)
    with pytest.raises(SessionsFullError):
        await opened(keeper)
    clock.now_s += 61
    assert 0 == (await opened(keeper)).position


@pytest.mark.parametrize("position", range(8))
async def test_a_rewind_is_exact(keeper: Keeper, position: int) -> None:
    """At every earlier position the session is what a fresh one on those tokens is."""
    session = await opened(keeper, TEXT)
    session, answer = await keeper.rewind(session.id, position, Ask(3))
    assert " ".join(TEXT.split(" ")[:position]) == session.text
    assert (position, "") == (answer.position, answer.pending)
    await assert_as_fresh(keeper, session.id)


async def test_a_rewind_of_a_few_words_replays_nothing(keeper: Keeper) -> None:
    """Positions the session stood at lately are kept with their memory."""
    session = await opened(keeper, TEXT)
    for word in ("and", "the"):
        session, _, _ = await keeper.advance(session.id, advance(word))
    engine = await keeper._fleet.engine()
    assert [] == session.edit_back_to(engine.tokenizer, 8).token_ids
    assert session.token_ids[:3] == session.edit_back_to(engine.tokenizer, 3).token_ids


async def test_taking_back_the_last_pasted_words_replays_nothing(keeper: Keeper) -> None:
    """The end of a text that came at once is known token by token too."""
    session = await opened(keeper, TEXT)
    engine = await keeper._fleet.engine()
    for position in (7, 6, 5):
        assert [] == session.edit_back_to(engine.tokenizer, position).token_ids
    await keeper.rewind(session.id, 6, Ask(3))
    await assert_as_fresh(keeper, session.id)


async def test_a_rewind_to_the_future_is_refused(keeper: Keeper) -> None:
    """A session can go back only to where it was."""
    session = await opened(keeper, "Anna")
    with pytest.raises(BadRequestError, match="position 1, before 2"):
        await keeper.rewind(session.id, 2, Ask(3))


@pytest.mark.parametrize(("policy", "version"), [("pin", 1), ("migrate", 2)])
async def test_a_new_version_meets_live_sessions_as_configured(
    fleet: Fleet, clock: Clock, policy: str, version: int
) -> None:
    """Pinned ones stay what they were; the others are what a fresh one on the new version is."""
    store = MemoryStore(3)
    keeper = build_keeper(fleet, store, RULES, clock)
    session, _ = await keeper.open("talker", 1, "", Ask(3), None)
    await keeper.sync_text(session.id, "Anna saw the dogs by the la", Ask(3))
    keeper = build_keeper(fleet, store, replace(RULES, migrate=policy == "migrate"), clock)
    assert ["lake"] == [p.word for p in await keeper.predictions(session.id, Ask(3), "")]
    session, answer, _ = await keeper.advance(session.id, advance("lake", at=6))
    text = "Anna saw the dogs by the lake"
    fresh, expected = await keeper.open("talker", version, text, Ask(3), None)
    assert (version, expected.predictions) == (session.version, answer.predictions)
    assert fresh.token_ids == (await keeper.describe(session.id)).token_ids


async def test_a_fork_stands_alone(keeper: Keeper) -> None:
    """It starts where its origin stands, and neither moves with the other."""
    origin = await opened(keeper, "Anna saw")
    fork, answer = await keeper.fork(origin.id, Ask(3))
    assert origin.id != fork.id
    assert 2 == answer.position
    await keeper.advance(fork.id, advance("the dogs"))
    await keeper.advance(origin.id, advance("Ben"))
    assert "Anna saw the dogs" == (await keeper.describe(fork.id)).text
    assert "Anna saw Ben" == (await keeper.describe(origin.id)).text
    await assert_as_fresh(keeper, fork.id)


async def test_a_session_moves_between_servers(keeper: Keeper, fleet: Fleet, clock: Clock) -> None:
    """What one server exports another one of the same secret imports, exactly."""
    session = await opened(keeper, TEXT)
    await keeper.sync_text(session.id, f"{TEXT} th", Ask(3))
    blob = await keeper.export(session.id)
    packer = Packer(fleet, Codec(b"secret"))
    other = Keeper(fleet, MemoryStore(3), packer, IdMint(b"other"), RULES, clock)
    moved, answer = await other.import_state(blob, Ask(3))
    assert (f"{TEXT} th", 7, "th") == (moved.text, answer.position, answer.pending)
    await assert_as_fresh(other, moved.id)


async def test_use_prolongs_a_life_up_to_its_end_only(keeper: Keeper, clock: Clock) -> None:
    """A session in constant use ends when its total time is over."""
    session = await opened(keeper, "Anna")
    for _ in range(11):
        clock.now_s += 54
        await keeper.predictions(session.id, Ask(3), "")
    clock.now_s += 7
    with pytest.raises(ExpiredSessionError):
        await keeper.describe(session.id)
