"""The scheduler's rules, one by one and then all at once on random histories."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.engine.scheduler import Limits, QueueFullError, Row, Scheduler

LIMITS = Limits(max_batch=3, prefill_batch=2, prefill_chunk=4, max_queue=8)


def test_single_steps_run_in_order_up_to_the_batch_limit() -> None:
    """The first three of four steps make the first batch, the fourth the second."""
    scheduler = Scheduler(LIMITS)
    for job in range(4):
        scheduler.add(job, 1)
    first = scheduler.next_batch()
    scheduler.done()
    assert [0, 1, 2] == [row.job for row in first]
    assert [Row(3, 0, 1, last=True)] == scheduler.next_batch()


def test_a_long_text_is_read_in_chunks() -> None:
    """Ten tokens are read as four, four and two, and only the last chunk asks for the answer."""
    scheduler = Scheduler(LIMITS)
    scheduler.add(7, 10)
    seen = []
    while rows := scheduler.next_batch():
        seen += rows
        scheduler.done()
    assert [Row(7, 0, 4, last=False), Row(7, 4, 8, last=False), Row(7, 8, 10, last=True)] == seen


def test_steps_and_chunks_take_turns_and_never_share_a_batch() -> None:
    """A typist who comes while a long text is read waits for one chunk of it at most."""
    scheduler = Scheduler(LIMITS)
    scheduler.add(0, 12)
    assert [0] == [row.job for row in scheduler.next_batch()]
    scheduler.add(1, 1)
    scheduler.add(2, 1)
    scheduler.done()
    assert [1, 2] == [row.job for row in scheduler.next_batch()]
    scheduler.done()
    assert [0] == [row.job for row in scheduler.next_batch()]


def test_a_job_without_tokens_runs_with_the_single_steps() -> None:
    """Who only wants to look again shares a batch with those who type."""
    scheduler = Scheduler(LIMITS)
    scheduler.add(0, 0)
    scheduler.add(1, 1)
    assert [Row(0, 0, 0, last=True), Row(1, 0, 1, last=True)] == scheduler.next_batch()


def test_a_full_queue_refuses_and_changes_nothing() -> None:
    """The ninth of eight jobs is refused; running ones count."""
    scheduler = Scheduler(LIMITS)
    for job in range(LIMITS.max_queue):
        scheduler.add(job, 1)
    scheduler.next_batch()
    with pytest.raises(QueueFullError):
        scheduler.add(99, 1)
    assert LIMITS.max_queue == len(scheduler)


def test_a_cancelled_job_does_not_come_back() -> None:
    """A long job cancelled while it runs is gone when its chunk is done."""
    scheduler = Scheduler(LIMITS)
    scheduler.add(0, 10)
    scheduler.next_batch()
    scheduler.cancel(0)
    scheduler.done()
    assert [] == scheduler.next_batch()


class Histories(RuleBasedStateMachine):
    """Any order of adding, cancelling, taking and finishing batches."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(LIMITS)
        self.tokens: dict[int, int] = {}
        self.read: dict[int, int] = {}
        self.batch: list[Row] = []
        self.answered: list[int] = []
        self.waited: dict[int, int] = {}
        self.next_job = 0

    @rule(tokens=st.integers(0, 20))
    def add(self, tokens: int) -> None:
        """Add a job, or be refused because the queue is full."""
        before = len(self.scheduler)
        try:
            self.scheduler.add(self.next_job, tokens)
        except QueueFullError:
            assert LIMITS.max_queue == before
            return
        self.tokens[self.next_job], self.read[self.next_job] = tokens, 0
        self.waited[self.next_job] = 0
        self.next_job += 1

    @precondition(lambda self: self.tokens)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel some job, waiting or running."""
        job = data.draw(st.sampled_from(sorted(self.tokens)))
        self.scheduler.cancel(job)
        del self.tokens[job]

    @precondition(lambda self: not self.batch)
    @rule()
    def take(self) -> None:
        """Take a batch: something runs if anything waits, in order, each token once."""
        self.batch = self.scheduler.next_batch()
        assert bool(self.tokens) == bool(self.batch)
        jobs = [row.job for row in self.batch]
        assert sorted(set(jobs)) == jobs
        kinds = set()
        for row in self.batch:
            left = self.tokens[row.job] - self.read[row.job]
            kinds.add(left > 1)
            assert self.read[row.job] == row.start
            assert min(left, LIMITS.prefill_chunk) == row.end - row.start
            assert (row.end == self.tokens[row.job]) == row.last
        assert len(kinds) <= 1
        long = kinds == {True}
        assert len(jobs) <= (LIMITS.prefill_batch if long else LIMITS.max_batch)
        for job in self.tokens:
            self.waited[job] = 0 if job in jobs else self.waited[job] + long
        singles = [j for j in sorted(self.tokens) if self.tokens[j] - self.read[j] <= 1]
        assert all(self.waited[job] <= 1 for job in singles[: LIMITS.max_batch])

    @precondition(lambda self: self.batch)
    @rule()
    def finish(self) -> None:
        """End the batch; jobs that are through are answered, once."""
        self.scheduler.done()
        for row in self.batch:
            if row.job not in self.tokens:
                continue
            self.read[row.job] = row.end
            if row.last:
                assert row.job not in self.answered
                self.answered.append(row.job)
                del self.tokens[row.job]
        self.batch = []

    @invariant()
    def holds_exactly_what_is_unanswered(self) -> None:
        """Waiting and running jobs are those added, not cancelled, not answered."""
        assert len(self.tokens) == len(self.scheduler)


TestHistories = Histories.TestCase
