"""Group commit: writes that come while one is under way go out together as the next.

No timers: an idle store writes at once, a busy one writes large groups.
Must not know: what is written, or where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from service.sessions.session import Session


class Write:
    """A packed session to be written, and who waits for it."""

    def __init__(self, session: Session, blob: bytes) -> None:
        """Wait on the running loop."""
        self.session = session
        self.blob = blob
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class GroupCommit:
    """Collects writes and hands them to `commit`, a group at a time."""

    def __init__(
        self, commit: Callable[[Sequence[Write]], Awaitable[Sequence[Exception | None]]]
    ) -> None:
        """`commit` answers for each write with None or with why it was not made."""
        self._commit = commit
        self._waiting: list[Write] = []
        self._running: asyncio.Task[None] | None = None

    async def put(self, session: Session, blob: bytes) -> None:
        """Write one session with the next group; raises why it was not written.

        A caller that is cancelled leaves the write to go on: it may have been made already.
        """
        write = Write(session, blob)
        self._waiting.append(write)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        await asyncio.shield(write.done)

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        while self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            results: Sequence[Exception | None]
            try:
                results = await self._commit(group)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is their answer
                results = [error] * len(group)
            for write, result in zip(group, results, strict=True):
                if result is None:
                    write.done.set_result(None)
                else:
                    write.done.set_exception(result)
                    write.done.exception()  # seen, even where nobody waits any more
        self._running = None
