"""Sessions in this process's memory: bounded, gone with the process.

Must not know: engines, HTTP.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

from service.errors import SessionsFullError
from service.sessions.session import Session
from service.sessions.store import ConflictError


class MemoryStore:
    """At most `capacity` sessions, found by id."""

    def __init__(self, capacity: int) -> None:
        """Start empty."""
        self._capacity = capacity
        self._sessions: dict[str, Session] = {}

    async def start(self) -> bytes:
        """A fresh secret: these sessions die with the process, and so do their ids."""
        return secrets.token_bytes(32)

    async def stop(self) -> None:
        """There is nothing to finish."""

    async def get(self, session_id: str) -> Session | None:
        """The session of an id, or None."""
        return self._sessions.get(session_id)

    async def put(self, session: Session) -> None:
        """Keep a session; ConflictError or SessionsFullError where that cannot be."""
        held = self._sessions.get(session.id)
        if (held.revision if held else 0) != session.revision - 1:
            raise ConflictError
        if held is None and len(self._sessions) >= self._capacity:
            raise SessionsFullError(f"all {self._capacity} sessions are taken")
        self._sessions[session.id] = session

    async def touch(self, session_id: str, expires_at_s: float) -> None:
        """Let a session live until another time."""
        if session_id in self._sessions:
            held = self._sessions[session_id]
            self._sessions[session_id] = replace(held, expires_at_s=expires_at_s)

    async def remove(self, session_id: str) -> None:
        """Let a session go."""
        self._sessions.pop(session_id, None)

    async def sweep(self, now_s: float) -> int:
        """Drop the sessions whose time is over."""
        expired = [s.id for s in self._sessions.values() if now_s >= s.expires_at_s]
        for session_id in expired:
            del self._sessions[session_id]
        return len(expired)
