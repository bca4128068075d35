"""One serving process: running parts, the application, uvicorn, and an end in order.

Must not know: the environment, command lines, other processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from service.api.dependencies import Parts
from service.app import create_app, start_parts
from service.settings import Settings

_PING_INTERVAL_S = 20.0
_PING_TIMEOUT_S = 20.0

Announce = Callable[[str], None]
"""Told the default model's name once it is loaded."""


def serve(settings: Settings, listener: socket.socket, announce: Announce | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight.

    Raises StartError or BundleError where it cannot be started as configured.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it in order
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings, listener, announce))


def check(settings: Settings, announce: Announce) -> None:
    """Start all parts and stop them again, so that what is wrong is found before any worker is."""
    asyncio.run(_check(settings, announce))


async def _check(settings: Settings, announce: Announce) -> None:
    parts = await start_parts(settings)
    await parts.stop()
    announce(parts.fleet.default_model)


async def _serve(settings: Settings, listener: socket.socket, announce: Announce | None) -> None:
    parts = await start_parts(settings)
    if announce is not None:
        announce(parts.fleet.default_model)
    config = uvicorn.Config(
        create_app(parts),
        access_log=False,
        lifespan="on",
        log_level="warning",
        timeout_graceful_shutdown=settings.grace_s,
        ws_max_size=settings.max_body_bytes,
        ws_ping_interval=_PING_INTERVAL_S,
        ws_ping_timeout=_PING_TIMEOUT_S,
        ws_per_message_deflate=False,  # a few bytes on the wire could unfold to many large frames
    )
    await _Server(config, parts).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells the readiness probe as soon as the end has been asked for."""

    def __init__(self, config: uvicorn.Config, parts: Parts) -> None:
        super().__init__(config)
        self._parts = parts

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._parts.ready = False
        super().handle_exit(sig, frame)
