"""Sessions in a SQLite file: one machine, any number of processes, survives kill -9.

Writes that come while one is under way are committed together with the next (group commit), in a
thread of the store's own. WAL with `synchronous=NORMAL` survives the process, `FULL` power loss
as well.
Must not know: engines, HTTP, what a session is made of.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from service.errors import SessionsFullError, StartError, StoreAwayError
from service.sessions.group_commit import GroupCommit, Write
from service.sessions.packer import Packer
from service.sessions.session import Session
from service.sessions.store import ConflictError

_T = TypeVar("_T")
_BUSY_TIMEOUT_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS secret (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), value BLOB);
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY, revision INTEGER NOT NULL, expires_at_s REAL NOT NULL, blob BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_expiry ON session (expires_at_s);
"""


class SqliteStore:
    """At most `capacity` sessions in the file at `path`."""

    def __init__(self, path: Path, packer: Packer, capacity: int, *, full_sync: bool) -> None:
        """Describe the file; `start` opens it."""
        self._path = path
        self._packer = packer
        self._capacity = capacity
        self._synchronous = "FULL" if full_sync else "NORMAL"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._group = GroupCommit(self._commit)
        self._db: sqlite3.Connection

    async def start(self) -> bytes:
        """Open or make the file; its secret was made with it."""
        try:
            return await self._run(self._open)
        except StoreAwayError as error:
            raise StartError(f"NEXTWORD_SQLITE_PATH={self._path}: {error.detail}") from error

    async def stop(self) -> None:
        """Commit what waits, and close the file."""
        await self._group.drain()
        await self._run(self._close)
        self._thread.shutdown()

    async def get(self, session_id: str) -> Session | None:
        """The session of an id, or None."""
        query = "SELECT blob, expires_at_s FROM session WHERE id = ?"
        row = await self._run(lambda: self._db.execute(query, (session_id,)).fetchone())
        if row is None:
            return None
        return await self._packer.unpack(row[0], expires_at_s=row[1])

    async def put(self, session: Session) -> None:
        """Keep a session; ConflictError or SessionsFullError where that cannot be."""
        await self._group.put(session, await self._packer.pack(session))

    async def touch(self, session_id: str, expires_at_s: float) -> None:
        """Let a session live until another time."""
        statement = "UPDATE session SET expires_at_s = ? WHERE id = ?"
        await self._run(lambda: self._db.execute(statement, (expires_at_s, session_id)))

    async def remove(self, session_id: str) -> None:
        """Let a session go."""
        statement = "DELETE FROM session WHERE id = ?"
        await self._run(lambda: self._db.execute(statement, (session_id,)))

    async def sweep(self, now_s: float) -> int:
        """Drop the sessions whose time is over."""
        statement = "DELETE FROM session WHERE expires_at_s <= ?"
        return await self._run(lambda: self._db.execute(statement, (now_s,)).rowcount)

    def _close(self) -> None:
        self._db.close()

    async def _commit(self, writes: Sequence[Write]) -> Sequence[Exception | None]:
        return await self._run(lambda: self._commit_all(writes))

    def _open(self) -> bytes:
        self._db = sqlite3.connect(
            self._path, _BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(f"PRAGMA synchronous = {self._synchronous}")
        self._db.executescript(_SCHEMA)
        insert = "INSERT OR IGNORE INTO secret VALUES (1, ?)"
        self._db.execute(insert, (secrets.token_bytes(32),))
        return bytes(self._db.execute("SELECT value FROM secret").fetchone()[0])

    def _commit_all(self, writes: Sequence[Write]) -> list[Exception | None]:
        """One transaction for all; a write that does not fit is left out, not the others."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            results = [self._write(write) for write in writes]
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return results

    def _write(self, write: Write) -> Exception | None:
        session = write.session
        if session.revision == 1:
            [held] = self._db.execute("SELECT count(*) FROM session").fetchone()
            if held >= self._capacity:
                return SessionsFullError(f"all {self._capacity} sessions are taken")
            statement = "INSERT OR IGNORE INTO session VALUES (:id, 1, :expires, :blob)"
        else:
            statement = (
                "UPDATE session SET revision = :revision, expires_at_s = :expires, blob = :blob "
                "WHERE id = :id AND revision = :revision - 1"
            )
        values = {
            "id": session.id,
            "revision": session.revision,
            "expires": session.expires_at_s,
            "blob": write.blob,
        }
        return None if self._db.execute(statement, values).rowcount == 1 else ConflictError()

    async def _run(self, work: Callable[[], _T]) -> _T:
        """Do something in the store's thread; StoreAwayError where SQLite cannot."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreAwayError(f"the session store failed: {error}") from error
