"""What a place for sessions must do, whatever it is.

Must not know: engines, HTTP, any one store.
"""

from __future__ import annotations

from typing import Protocol

from service.sessions.session import Session


class ConflictError(Exception):
    """Somebody else has written the session meanwhile; look at it again and decide anew."""


class Store(Protocol):
    """Keeps sessions by id; every write is checked against the revision it builds on."""

    async def start(self) -> bytes:
        """Open the store; returns the secret that session ids are signed with, as old as it is.

        Raises StartError where the store cannot be used.
        """

    async def stop(self) -> None:
        """Finish what was begun and close the store."""

    async def get(self, session_id: str) -> Session | None:
        """The session of an id, or None. An expired one may still come or be gone already."""

    async def put(self, session: Session) -> None:
        """Keep a session; it is safe when this returns.

        Raises ConflictError unless the stored revision is the one before (none, for the first),
        SessionsFullError where a new session finds no room, StoreAwayError where the store cannot
        be reached; nothing is changed then.
        """

    async def touch(self, session_id: str, expires_at_s: float) -> None:
        """Let a session live until another time."""

    async def remove(self, session_id: str) -> None:
        """Let a session go; nothing happens where it is gone already."""

    async def sweep(self, now_s: float) -> int:
        """Drop the sessions whose time is over, and tell how many they were."""
