"""The engine: batches of many sessions, answers of each alone."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from service.engine.decode import Query
from service.engine.engine import Engine, Outcome, Step
from service.engine.runner import Memory
from service.errors import ModelFaultError, OverloadedError, StoppingError

TEXTS = ([5], [6, 7], [], [8] * 7, [9] * 30, [10, 11, 12] * 9, [3], [4, 3])


async def read(engine: Engine, ids: list[int]) -> Outcome:
    """Read ids from the beginning."""
    return await engine.submit(Step(engine.opening, ids, Query(5)))


def same(a: Memory, b: Memory) -> bool:
    """Whether two memories are the same bit for bit."""
    pairs = zip((a.hidden, *a.state), (b.hidden, *b.state), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


async def test_answers_do_not_depend_on_who_shares_the_batch(engine: Engine) -> None:
    """Every text gets bit for bit what it gets alone, chunked or stepped, empty ones too."""
    alone = [await read(engine, list(ids)) for ids in TEXTS]
    together = await asyncio.gather(*(read(engine, list(ids)) for ids in TEXTS))
    for one, other in zip(alone, together, strict=True):
        assert one.predictions == other.predictions
        assert same(one.memory, other.memory)


async def test_stepping_equals_reading_at_once(engine: Engine) -> None:
    """A text read token by token comes to the same memory as read whole."""
    whole = await read(engine, [5, 6, 7, 8, 9, 10, 11, 12, 13])
    memory = engine.opening
    for token_id in (5, 6, 7, 8, 9, 10, 11, 12, 13):
        memory = (await engine.submit(Step(memory, [token_id], Query(1)))).memory
    assert same(whole.memory, memory)


async def test_a_failed_step_fails_alone(engine: Engine) -> None:
    """One poisoned memory in a batch costs its owner an error and the others nothing."""
    bad = Memory(tuple(part * np.nan for part in engine.opening.state), engine.opening.hidden)
    results = await asyncio.gather(
        read(engine, [5]),
        engine.submit(Step(bad, [5] * 20, Query(1))),
        read(engine, [6]),
        return_exceptions=True,
    )
    assert [Outcome, ModelFaultError, Outcome] == [type(result) for result in results]


async def test_too_many_waiting_steps_are_refused(narrow_engine: Engine) -> None:
    """With room for two, the third of three at once is told to come back."""
    results = await asyncio.gather(
        *(read(narrow_engine, [5]) for _ in range(3)), return_exceptions=True
    )
    assert [Outcome, Outcome, OverloadedError] == [type(result) for result in results]
    assert 5 == len((await read(narrow_engine, [5])).predictions)


async def test_a_client_that_leaves_frees_its_place(narrow_engine: Engine) -> None:
    """Cancelled steps no longer count, and later ones are answered."""
    leaving = [asyncio.create_task(read(narrow_engine, [5] * 25)) for _ in range(2)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert all(task.cancelled() for task in leaving)
    assert 5 == len((await read(narrow_engine, [5])).predictions)


async def test_stopping_finishes_what_waits_and_refuses_the_rest(engine: Engine) -> None:
    """Whoever was let in gets an answer."""
    waiting = [asyncio.create_task(read(engine, [5] * 20)) for _ in range(6)]
    await asyncio.sleep(0)
    await engine.stop()
    assert all([5 == len((await task).predictions) for task in waiting])
    with pytest.raises(StoppingError):
        await read(engine, [5])
