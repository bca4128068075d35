"""Puts the service together: settings in, running parts and an ASGI application out.

Must not know: sockets, the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI

from service.api import admin, live, problems, sessions, text
from service.api.body_limit import BodyLimit
from service.api.dependencies import Parts
from service.engine.fleet import Fleet
from service.errors import StartError
from service.sessions.codec import Codec
from service.sessions.ids import IdMint
from service.sessions.keeper import Keeper
from service.sessions.memory import MemoryStore
from service.sessions.packer import Packer
from service.sessions.rules import Rules
from service.sessions.sqlite import SqliteStore
from service.sessions.store import Store
from service.settings import Settings

_LOG = logging.getLogger("nextword")
_TIDY_INTERVAL_S = 5.0


async def start_parts(settings: Settings) -> Parts:
    """Load the default model and open the store.

    Raises StartError or BundleError where the service cannot be started as configured.
    """
    fleet = Fleet(settings)
    await fleet.start()
    # What stores hold is theirs alone; what leaves the server is signed.
    store = _store(settings, Packer(fleet, Codec()))
    secret = await store.start()
    rules = Rules(
        settings.session_idle_ttl_s,
        settings.session_total_ttl_s,
        settings.max_tokens,
        settings.session_marks,
        settings.session_cache,
        migrate=settings.model_change == "migrate",
    )
    packer = Packer(fleet, Codec(settings.state_secret.encode()))
    keeper = Keeper(fleet, store, packer, IdMint(secret), rules, time.time)
    return Parts(settings, fleet, store, keeper, rules)


def create_app(parts: Parts) -> FastAPI:
    """The application on running parts, which stop with it."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_tidy_forever(parts))
        parts.ready = True
        yield
        parts.ready = False
        sweeper.cancel()
        await parts.stop()

    app = FastAPI(
        title="nextword",
        summary="Next-word prediction with per-session state.",
        version="1",
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.add_middleware(BodyLimit, max_bytes=parts.settings.max_body_bytes)
    problems.install(app)
    for module in (sessions, live, text, admin):
        app.include_router(module.router)
    return app


def _store(settings: Settings, packer: Packer) -> Store:
    if settings.store == "sqlite":
        return SqliteStore(
            settings.sqlite_path,
            packer,
            settings.max_sessions,
            full_sync=settings.sqlite_full_sync,
        )
    if settings.store == "redis":
        try:
            from service.sessions.redis import RedisStore
        except ModuleNotFoundError as error:
            raise StartError("NEXTWORD_STORE=redis needs the extra nextword[redis]") from error
        return RedisStore(settings.redis_url, packer, settings.max_sessions)
    return MemoryStore(settings.max_sessions)


async def _tidy_forever(parts: Parts) -> None:
    """Look for newer models, and free the room of expired sessions nobody asks for any more."""
    while True:
        await asyncio.sleep(_TIDY_INTERVAL_S)
        try:
            await parts.fleet.refresh()
            await parts.keeper.sweep()
        except Exception:  # noqa: BLE001 - whatever it was, the next round may succeed
            _LOG.exception("tidying up failed")
