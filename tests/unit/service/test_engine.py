"""The engine: batches of many sessions, answers of each alone."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from models.bundle import Bundle
from service.engine.decode import Ask, Query
from service.engine.engine import Engine, Outcome, Step
from service.engine.runner import Memory, Runner
from service.errors import DeadlineError, ModelFaultError, OverloadedError, StoppingError
from tests.unit.service.conftest import LIMITS

TEXTS = ([5], [6, 7], [], [8] * 7, [9] * 30, [10, 11, 12] * 9, [3], [4, 3])


async def read(engine: Engine, ids: list[int]) -> Outcome:
    """Read ids from the beginning."""
    return await engine.submit(Step(engine.opening, ids, Query(Ask(5))))


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


async def test_a_crowd_at_random_gets_what_each_would_get_alone(engine: Engine) -> None:
    """Sixty sessions of random lengths, stepped in random pieces at random moments."""
    chance = np.random.default_rng(3)
    texts = [chance.integers(0, 34, chance.integers(1, 40)).tolist() for _ in range(60)]
    alone = [await read(engine, ids) for ids in texts]

    async def type_out(ids: list[int], seed: int) -> Outcome:
        own, memory, at = np.random.default_rng(seed), engine.opening, 0
        while at < len(ids):
            await asyncio.sleep(own.random() * 0.005)
            piece = ids[at : at + int(own.integers(1, 12))]
            outcome = await engine.submit(Step(memory, piece, Query(Ask(5))))
            memory, at = outcome.memory, at + len(piece)
        return outcome

    crowd = await asyncio.gather(*(type_out(ids, seed) for seed, ids in enumerate(texts)))
    for one, other in zip(alone, crowd, strict=True):
        assert one.predictions == other.predictions
        assert same(one.memory, other.memory)


async def test_stepping_equals_reading_at_once(engine: Engine) -> None:
    """A text read token by token comes to the same memory as read whole."""
    whole = await read(engine, [5, 6, 7, 8, 9, 10, 11, 12, 13])
    memory = engine.opening
    for token_id in (5, 6, 7, 8, 9, 10, 11, 12, 13):
        memory = (await engine.submit(Step(memory, [token_id], Query(Ask(1))))).memory
    assert same(whole.memory, memory)


async def test_a_failed_step_fails_alone(engine: Engine) -> None:
    """One poisoned memory in a batch costs its owner an error and the others nothing."""
    bad = Memory(tuple(part * np.nan for part in engine.opening.state), engine.opening.hidden)
    results = await asyncio.gather(
        read(engine, [5]),
        engine.submit(Step(bad, [5] * 20, Query(Ask(1)))),
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


async def test_a_step_that_takes_too_long_is_given_up(bundle: Bundle, runner: Runner) -> None:
    """It gets an error of its own, and its place in the queue is free again."""
    engine = Engine(bundle, runner, LIMITS, deadline_s=0.0001)
    with pytest.raises(DeadlineError):
        await read(engine, [5] * 500)
    await engine.stop()
    assert 0 == len(engine._scheduler)


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
