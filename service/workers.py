"""Several processes on one port: starts them, ends them together, replaces one that dies.

Must not know: what a worker does.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

_LOOK_INTERVAL_S = 0.2
_RESTART_DELAY_S = 1.0


class Workers:
    """A fixed number of processes that all run the same function."""

    def __init__(self, count: int, target: Callable[..., None], *arguments: object) -> None:
        """Describe the processes; `target` and `arguments` must be picklable."""
        self._context = multiprocessing.get_context("spawn")
        self._target = target
        self._arguments = arguments
        self._processes: list[BaseProcess] = []
        self._count = count
        self._stopping = False

    def run(self) -> None:
        """Keep all of them running until this process is told to end, then end them in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._processes = [self._start() for _ in range(self._count)]
        while not self._stopping:
            time.sleep(_LOOK_INTERVAL_S)
            self._replace_the_dead()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _start(self) -> BaseProcess:
        process = self._context.Process(target=self._target, args=self._arguments)
        process.start()
        return process

    def _replace_the_dead(self) -> None:
        for number, process in enumerate(self._processes):
            if not process.is_alive() and not self._stopping:
                process.join()
                time.sleep(_RESTART_DELAY_S)
                self._processes[number] = self._start()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
