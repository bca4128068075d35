"""Session ids that cannot be guessed and that tell by themselves whether they ever were valid.

An id holds 128 random bits, when it was made, how long it may lie idle, and a keyed hash of the
three. So an id that is not in the store is told apart without a table of the dead: forged or
foreign, deleted, or expired.
Must not know: stores, sessions, HTTP.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
from dataclasses import dataclass
from hashlib import blake2b

_LAYOUT = struct.Struct(">16sQI")
_MAC_BYTES = 8


@dataclass(frozen=True)
class IdFacts:
    """What an id says of its session."""

    created_at_s: int
    idle_ttl_s: int


class IdMint:
    """Makes ids and recognises its own."""

    def __init__(self, secret: bytes) -> None:
        """Sign with `secret`; ids of another secret were never here."""
        self._secret = secret

    def make(self, created_at_s: float, idle_ttl_s: float) -> str:
        """A new id, 48 URL-safe characters."""
        ttl_s = min(int(idle_ttl_s), 2**32 - 1)
        body = _LAYOUT.pack(secrets.token_bytes(16), int(created_at_s), ttl_s)
        return base64.urlsafe_b64encode(body + self._mac(body)).decode()

    def read(self, session_id: str) -> IdFacts | None:
        """What an id says, or None where this mint never made it."""
        try:
            raw = base64.b64decode(session_id, altchars=b"-_", validate=True)
        except ValueError:
            return None
        body, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
        if len(body) != _LAYOUT.size or not hmac.compare_digest(mac, self._mac(body)):
            return None
        _, created_at_s, idle_ttl_s = _LAYOUT.unpack(body)
        return IdFacts(created_at_s, idle_ttl_s)

    def _mac(self, body: bytes) -> bytes:
        return blake2b(body, key=self._secret, digest_size=_MAC_BYTES).digest()
