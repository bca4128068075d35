"""The engine of one model: schedule, run, complete.

The scheduler and all states are touched on the event loop only; only the runner's calls leave it,
for a thread of the engine's own. There is no timer: when the runner is free it takes what waits,
so an idle server answers at once and a busy one forms large batches.
Must not know: HTTP, session stores.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from models.bundle import Bundle, Manifest
from models.cache import Odds
from models.text import Tokenizer
from service.engine.decode import Decoder, Prediction, Query
from service.engine.runner import Memory, Reading, Runner
from service.engine.scheduler import Limits, QueueFullError, Row, Scheduler
from service.engine.trail import Trail
from service.errors import DeadlineError, ModelFaultError, OverloadedError, StoppingError


@dataclass(frozen=True)
class Step:
    """Read `token_ids` on top of a memory, then answer a query, if there is one.

    A session with a cache brings its trail as well.
    """

    memory: Memory
    token_ids: Sequence[int]
    query: Query | None
    trail: Trail | None = None


@dataclass(frozen=True)
class Outcome:
    """What a step came to: memory and trail behind it, and the answer to its query."""

    memory: Memory
    trail: Trail | None
    predictions: list[Prediction]


@dataclass
class _Job:
    step: Step
    stands: Outcome
    """How far it has come; without an answer before its end."""
    answer: asyncio.Future[Outcome]


_Part = Outcome | Exception
"""What a batch gives a job."""


class Engine:
    """Runs the steps of many sessions through one model, batched."""

    def __init__(
        self, bundle: Bundle, runner: Runner, limits: Limits, deadline_s: float = 10.0
    ) -> None:
        """Take a loaded model; `opening` is what it remembers before any text."""
        self._deadline_s = deadline_s
        self.tokenizer: Tokenizer = bundle.tokenizer
        self.manifest: Manifest = bundle.manifest
        self.sha256 = bundle.sha256
        self._runner = runner
        self._decoder = Decoder(bundle.tokenizer.words)
        self._scheduler = Scheduler(limits)
        self._jobs: dict[int, _Job] = {}
        self._numbers = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"run-{bundle.manifest.name}")
        self._running: asyncio.Task[None] | None = None
        self._stopping = False
        self.opening = self._read_opening()

    def _read_opening(self) -> Memory:
        """Before the first token the state is zeros, and what is suggested follows a line break."""
        zeros = self._runner.initial_state()
        [opening] = self._runner.read([[self.tokenizer.newline_id]], [zeros])
        if isinstance(opening, Exception):
            raise opening
        return Memory(zeros, opening.memory.hidden)

    async def submit(self, step: Step) -> Outcome:
        """Run a step when its turn comes. The step's memory is left as it is.

        Raises OverloadedError, DeadlineError, StoppingError or ModelFaultError. A cancelled call
        leaves the queue.
        """
        if self._stopping:
            raise StoppingError("the server is shutting down")
        number = next(self._numbers)
        try:
            self._scheduler.add(number, len(step.token_ids))
        except QueueFullError:
            raise OverloadedError("too many steps are waiting") from None
        loop = asyncio.get_running_loop()
        stands = Outcome(step.memory, step.trail, [])
        job = self._jobs[number] = _Job(step, stands, loop.create_future())
        if self._running is None:
            self._running = loop.create_task(self._run())
        try:
            async with asyncio.timeout(self._deadline_s):
                return await job.answer
        except TimeoutError:
            raise DeadlineError(f"the step took over {self._deadline_s} seconds") from None
        finally:
            self._scheduler.cancel(number)
            self._jobs.pop(number, None)

    async def stop(self) -> None:
        """Take no new steps, finish those that wait, and end the thread."""
        self._stopping = True
        if self._running is not None:
            await self._running
        self._thread.shutdown()

    async def _run(self) -> None:
        """Batch after batch until nothing waits."""
        loop = asyncio.get_running_loop()
        while rows := self._scheduler.next_batch():
            jobs = [self._jobs[row.job] for row in rows]
            parts: Sequence[_Part]
            try:
                parts = await loop.run_in_executor(self._thread, self._run_batch, rows, jobs)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is those jobs' answer
                parts = [error] * len(rows)
            for row, job, part in zip(rows, jobs, parts, strict=True):
                self._complete(row, job, part)
            self._scheduler.done()
        self._running = None

    def _run_batch(self, rows: list[Row], jobs: list[_Job]) -> list[_Part]:
        """Read every row's tokens, then answer those that are through; runs in the thread."""
        parts: list[_Part] = [job.stands for job in jobs]
        reading = [i for i, row in enumerate(rows) if row.end > row.start]
        if reading:
            read = self._runner.read(
                [jobs[i].step.token_ids[rows[i].start : rows[i].end] for i in reading],
                [jobs[i].stands.memory.state for i in reading],
            )
            for i, what in zip(reading, read, strict=True):
                parts[i] = _further(jobs[i].stands, what)
        asked = [
            (i, part, job.step.query)
            for i, (row, job, part) in enumerate(zip(rows, jobs, parts, strict=True))
            if row.last and isinstance(part, Outcome) and job.step.query is not None
        ]
        for (i, part, _), predictions in zip(asked, self._answer(asked), strict=True):
            parts[i] = replace(part, predictions=predictions)
        return parts

    def _answer(self, asked: Sequence[tuple[int, Outcome, Query]]) -> list[list[Prediction]]:
        """Answer queries where their steps stand, all with one run of the head."""
        if not asked:
            return []
        head_k = max(query.head_k for _, _, query in asked)
        scores = self._runner.score([stands.memory.hidden for _, stands, _ in asked], head_k)
        rows = zip(asked, scores.log_probs_NV, scores.top_ids_NK, strict=True)
        return [
            self._decoder.suggest(query, log_probs_V, top_ids_K, _odds(stands, query))
            for (_, stands, query), log_probs_V, top_ids_K in rows
        ]

    def _complete(self, row: Row, job: _Job, part: _Part) -> None:
        """Hand a job its part: an answer, an error, or what its next chunk goes on from."""
        if isinstance(part, Exception):
            self._scheduler.cancel(row.job)
        elif not row.last:
            job.stands = part
            return
        if job.answer.done():  # its client is gone
            return
        if isinstance(part, Exception):
            job.answer.set_exception(part)
        else:
            job.answer.set_result(part)


def _further(stands: Outcome, read: Reading | ModelFaultError) -> _Part:
    """Where a step stands when it has read on."""
    if isinstance(read, ModelFaultError):
        return read
    trail = stands.trail
    if trail is not None:
        trail = trail.then(stands.memory.hidden, read.hidden_TD)
    return Outcome(read.memory, trail, [])


def _odds(stands: Outcome, query: Query) -> Odds | None:
    """What a session's cache makes of the place where its step stands, if it has one."""
    if query.recall is None or stands.trail is None:
        return None
    return query.recall.odds(stands.trail.hidden_MD, stands.memory.hidden)
