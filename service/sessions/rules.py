"""The limits of sessions.

Must not know: how sessions are kept or read.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.errors import TextTooLongError


@dataclass(frozen=True)
class Rules:
    """The limits of sessions."""

    idle_ttl_s: float
    total_ttl_s: float
    max_tokens: int
    max_marks: int
    max_cache: int = 0
    """Words that a session's continuous cache may hold; 0 forbids caches."""
    migrate: bool = False
    """Whether a session goes over to a newer version of its model, or stays with its own."""

    def check_length(self, tokens: int) -> None:
        """Raise TextTooLongError where a text has more tokens than it may."""
        if tokens > self.max_tokens:
            raise TextTooLongError(f"the text has {tokens} tokens, more than {self.max_tokens}")
