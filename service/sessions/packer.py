"""Packs sessions for the models that this server serves.

Must not know: stores, HTTP.
"""

from __future__ import annotations

from dataclasses import replace

from service.engine.engine import Engine
from service.engine.fleet import Fleet
from service.sessions.codec import Codec, StateShape
from service.sessions.session import Session


class Packer:
    """Sessions to bytes and back, each checked against its own model."""

    def __init__(self, fleet: Fleet, codec: Codec) -> None:
        """Look models up in `fleet`."""
        self._fleet = fleet
        self._codec = codec

    async def pack(self, session: Session) -> bytes:
        """A session as bytes."""
        engine = await self._fleet.engine(session.model, session.version)
        return self._codec.pack(session, engine.sha256)

    async def unpack(self, blob: bytes, expires_at_s: float | None = None) -> Session:
        """The session in some bytes; a store knows better until when it lives.

        Raises BadStateError, ForeignStateError, UnknownModelError or UnknownVersionError.
        """
        model, version, _ = self._codec.model_of(blob)
        engine = await self._fleet.engine(model, version)
        session = self._codec.unpack(blob, _shape(engine), engine.opening)
        return session if expires_at_s is None else replace(session, expires_at_s=expires_at_s)


def _shape(engine: Engine) -> StateShape:
    manifest = engine.manifest
    return StateShape(
        sha256=engine.sha256,
        hidden=manifest.architecture.hidden,
        features=manifest.features,
        tensors=len(manifest.state),
        vocabulary=manifest.architecture.vocabulary,
    )
