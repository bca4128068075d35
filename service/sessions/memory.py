"""Sessions in this process's memory: bounded, gone with the process.

Must not know: engines, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.errors import SessionsFullError
from service.sessions.session import Session


class MemoryStore:
    """At most `capacity` sessions, found by id."""

    def __init__(self, capacity: int) -> None:
        """Start empty."""
        self._capacity = capacity
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        """How many sessions are held."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """All sessions held."""
        return iter(list(self._sessions.values()))

    def check_room(self) -> None:
        """Raise SessionsFullError where one more session would be too many."""
        if len(self._sessions) >= self._capacity:
            raise SessionsFullError(f"all {self._capacity} sessions are taken")

    def add(self, session: Session) -> None:
        """Hold a session; SessionsFullError where there is no room."""
        self.check_room()
        self._sessions[session.id] = session

    def get(self, session_id: str) -> Session | None:
        """The session of an id, or None."""
        return self._sessions.get(session_id)

    def remove(self, session_id: str) -> None:
        """Let a session go; nothing happens where it is gone already."""
        self._sessions.pop(session_id, None)
