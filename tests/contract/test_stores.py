"""What every store must do, held to memory, a SQLite file and a real Redis server alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.engine.fleet import Fleet
from service.errors import SessionsFullError
from service.sessions.codec import Codec
from service.sessions.memory import MemoryStore
from service.sessions.packer import Packer
from service.sessions.redis import RedisStore
from service.sessions.session import Answer, Mark, PastStep, Session
from service.sessions.sqlite import SqliteStore
from service.sessions.store import ConflictError, Store
from service.settings import read_settings
from tests.redis_server import RedisServer

CAPACITY = 4
FAR_S = 4e9
"""A time to live until, far away."""


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server of this test's own."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def fleet(models_folder: Path) -> AsyncIterator[Fleet]:
    """The models that the sessions belong to."""
    fleet = Fleet(read_settings({"NEXTWORD_MODELS": str(models_folder)}))
    await fleet.start()
    yield fleet
    await fleet.stop()


@pytest.fixture(params=["memory", "sqlite", "sqlite-full", "redis"])
def open_store(request: pytest.FixtureRequest, fleet: Fleet, tmp_path: Path) -> Callable[[], Store]:
    """Opens a store, and the same one again unless it is memory."""
    packer = Packer(fleet, Codec())
    if request.param == "memory":
        return lambda: MemoryStore(CAPACITY)
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        server.flush()
        return lambda: RedisStore(server.url, packer, CAPACITY)
    full = request.param == "sqlite-full"
    return lambda: SqliteStore(tmp_path / "s.db", packer, CAPACITY, full_sync=full)


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """An open store."""
    store = open_store()
    await store.start()
    yield store
    await store.stop()


@pytest.fixture
async def session(fleet: Fleet) -> Session:
    """A session that was never kept anywhere."""
    engine = await fleet.engine()
    step = PastStep(0, "key", '["Anna"]', Answer(1, "", []))
    noise = np.random.default_rng(1)
    memory = replace(
        engine.opening,
        state=tuple(noise.random(16, np.float32) for _ in engine.opening.state),
    )
    return Session(
        id="a",
        model="talker",
        version=2,
        created_at_s=1.5,
        idle_ttl_s=60.0,
        expires_at_s=FAR_S,
        marks=(Mark(0, engine.opening), Mark(2, memory)),
        text="Anna 😀 s",
        pending="s",
        token_ids=[5, 0],
        ends=[4, 6],
        past_steps=(step,),
        revision=1,
    )


def assert_same(expected: Session, actual: Session | None) -> None:
    """Two sessions are the same, their memories bit for bit."""
    assert actual is not None
    assert replace(expected, marks=()) == replace(actual, marks=())
    for mine, theirs in zip(expected.marks, actual.marks, strict=True):
        assert mine.position == theirs.position
        arrays = zip(mine.memory.state, theirs.memory.state, strict=True)
        assert all(np.array_equal(a, b) for a, b in arrays)
        assert np.array_equal(mine.memory.hidden, theirs.memory.hidden)


async def test_what_was_put_comes_back(store: Store, session: Session) -> None:
    """Text, tokens, memories, the last step and its answer."""
    assert await store.get("a") is None
    await store.put(session)
    assert_same(session, await store.get("a"))


async def test_a_write_must_build_on_what_is_there(store: Store, session: Session) -> None:
    """A revision that is not the next one is a conflict and changes nothing."""
    for revision in (0, 2, 3):
        with pytest.raises(ConflictError):
            await store.put(replace(session, revision=revision))
    await store.put(session)
    for revision in (1, 3):
        with pytest.raises(ConflictError):
            await store.put(replace(session, revision=revision, text="other"))
    assert_same(session, await store.get("a"))
    second = replace(session, revision=2, text="Anna 😀 sa", pending="sa")
    await store.put(second)
    assert_same(second, await store.get("a"))


async def test_of_many_writers_of_one_step_one_wins(store: Store, session: Session) -> None:
    """Fifty at once: one write, forty-nine conflicts."""
    await store.put(session)
    rivals = [replace(session, revision=2, text=f"Anna 😀 {n} s") for n in range(50)]
    results = await asyncio.gather(*map(store.put, rivals), return_exceptions=True)
    assert 49 == sum(isinstance(result, ConflictError) for result in results)
    assert_same(rivals[results.index(None)], await store.get("a"))


async def test_many_sessions_are_written_at_once(store: Store, session: Session) -> None:
    """A write that does not fit costs the others of its group nothing."""
    writes = [replace(session, id=name) for name in ("a", "b", "c", "a", "d")]
    results = await asyncio.gather(*map(store.put, writes), return_exceptions=True)
    assert [None, None, None, ConflictError, None] == [r and type(r) for r in results]
    assert_same(writes[4], await store.get("d"))


async def test_room_is_bounded(store: Store, session: Session) -> None:
    """One session too many is refused; those there can still be written."""
    for n in range(CAPACITY):
        await store.put(replace(session, id=str(n)))
    with pytest.raises(SessionsFullError):
        await store.put(session)
    await store.put(replace(session, id="0", revision=2))
    await store.remove("1")
    await store.put(session)


async def test_a_removed_session_is_gone(store: Store, session: Session) -> None:
    """Removing it again, or one that never was, is no error; its id can be used anew."""
    await store.put(session)
    for _ in range(2):
        await store.remove("a")
    await store.remove("nobody")
    assert await store.get("a") is None
    await store.put(session)


async def test_a_touched_session_lives_longer(store: Store, session: Session) -> None:
    """Only its end moves; touching one that is not there is no error."""
    await store.put(session)
    await store.touch("a", FAR_S + 60)
    await store.touch("nobody", FAR_S)
    assert await store.get("nobody") is None
    assert_same(replace(session, expires_at_s=FAR_S + 60), await store.get("a"))


async def test_the_sweep_drops_what_is_over(store: Store, session: Session) -> None:
    """And nothing else; the room is free again."""
    await store.put(session)
    for name in ("b", "c"):
        await store.put(replace(session, id=name, expires_at_s=FAR_S - 10))
    assert 2 == await store.sweep(FAR_S - 10)
    assert 0 == await store.sweep(FAR_S - 10)
    with contextlib.suppress(SessionsFullError):
        for name in ("d", "e", "f"):
            await store.put(replace(session, id=name))
    assert_same(session, await store.get("a"))
    assert_same(replace(session, id="f"), await store.get("f"))


async def test_a_cancelled_writer_does_not_stop_the_write(store: Store, session: Session) -> None:
    """Once begun, a write is made, whoever left."""
    writing = asyncio.create_task(store.put(session))
    await asyncio.sleep(0.01)
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    for _ in range(200):
        if await store.get("a") is not None:
            break
        await asyncio.sleep(0.01)
    assert_same(session, await store.get("a"))


async def test_durable_stores_keep_sessions_and_secret(
    open_store: Callable[[], Store], session: Session
) -> None:
    """What was put is there when the store is opened again; memory promises nothing."""
    first, second = open_store(), open_store()
    secret = await first.start()
    await first.put(session)
    await first.stop()
    again = await second.start()
    kept = await second.get("a")
    await second.stop()
    if isinstance(first, MemoryStore):
        assert (None, False) == (kept, secret == again)
    else:
        assert secret == again
        assert_same(session, kept)
