"""Which waiting jobs run together next. Pure: no I/O, no clock, no arrays, no sessions.

A job is a number of tokens to read, and then one answer. The rules:

| rule | how |
|---|---|
| first come, first served | jobs are taken in the order they were added, a batch at a time |
| short and long apart | a batch holds single steps (at most one token left) or chunks of long texts, never both: padding one to the other would cost all its rows the length of the longest |
| nobody waits for a long text | where both kinds wait, they take turns, and a turn of long texts reads one chunk of each of its rows |
| no tokens, no delay | a job with nothing to read (only an answer wanted) counts as a single step |
| one step of a session at a time | not here: whoever adds jobs adds a session's next one when the last is answered |
| bounded | a job that would be one too many is refused before anything changes |
| a job runs once at a time | it is out of the queue while its batch runs, and back at its end after |
| leaving is free | a cancelled job no longer counts; it is forgotten at once, or when the batch it runs in is done |
"""  # noqa: E501 - a table's rows do not wrap

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


class QueueFullError(Exception):
    """As many jobs are waiting as may."""


@dataclass(frozen=True)
class Limits:
    """How much runs together, and how much may wait."""

    max_batch: int
    prefill_batch: int
    prefill_chunk: int
    max_queue: int


@dataclass(frozen=True)
class Row:
    """A job's part in a batch: tokens `start` to `end` of it; `last` where its answer is due."""

    job: int
    start: int
    end: int
    last: bool


@dataclass
class _Job:
    tokens: int
    read: int = 0

    @property
    def left(self) -> int:
        return self.tokens - self.read


class Scheduler:
    """Holds the jobs that wait and the batch that runs."""

    def __init__(self, limits: Limits) -> None:
        """Start with nothing waiting."""
        self._limits = limits
        self._waiting: OrderedDict[int, _Job] = OrderedDict()
        self._running: dict[int, _Job] = {}
        self._cancelled: set[int] = set()
        self._prefill_turn = False

    def __len__(self) -> int:
        """How many jobs are waiting or running for somebody."""
        return len(self._waiting) + len(self._running) - len(self._cancelled)

    def add(self, job: int, tokens: int) -> None:
        """Queue a job of `tokens` tokens; QueueFullError where too many wait already."""
        if len(self) >= self._limits.max_queue:
            raise QueueFullError
        self._waiting[job] = _Job(tokens)

    def cancel(self, job: int) -> None:
        """Forget a job; one that runs is forgotten when its batch is done."""
        if job in self._running:
            self._cancelled.add(job)
        self._waiting.pop(job, None)

    def next_batch(self) -> list[Row]:
        """Take the next batch out of the queue; empty where nothing waits.

        `done` must be called before the next one is taken.
        """
        assert not self._running, "a batch is still running"
        steps = self._take(long=False, most=self._limits.max_batch)
        chunks = self._take(long=True, most=self._limits.prefill_batch)
        prefill = bool(chunks) and (self._prefill_turn or not steps)
        self._prefill_turn = not prefill
        chosen = chunks if prefill else steps
        self._running = {job: self._waiting.pop(job) for job in chosen}
        return [self._row(job, state) for job, state in self._running.items()]

    def done(self) -> None:
        """End the running batch: jobs with tokens left wait again, at their old place."""
        back = [
            (job, state)
            for job, state in self._running.items()
            if state.left > 0 and job not in self._cancelled
        ]
        for job, state in reversed(back):
            self._waiting[job] = state
            self._waiting.move_to_end(job, last=False)
        self._running = {}
        self._cancelled.clear()

    def _take(self, *, long: bool, most: int) -> list[int]:
        found: list[int] = []
        for job, state in self._waiting.items():
            if (state.left > 1) == long:
                found.append(job)
                if len(found) == most:
                    break
        return found

    def _row(self, job: int, state: _Job) -> Row:
        start = state.read
        state.read = min(state.tokens, start + self._limits.prefill_chunk)
        return Row(job, start, state.read, last=state.left == 0)
