"""Puts the service together: settings in, ASGI application out.

Must not know: sockets, the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI

from service.api import admin, problems, sessions, text
from service.api.body_limit import BodyLimit
from service.api.dependencies import Parts
from service.engine.fleet import Fleet
from service.sessions.ids import IdMint
from service.sessions.keeper import Keeper, Rules
from service.sessions.memory import MemoryStore
from service.settings import Settings

_SWEEP_INTERVAL_S = 5.0


def create_app(settings: Settings) -> FastAPI:
    """The application; StartError where it cannot be started as configured."""
    parts = _assemble(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await parts.fleet.start()
        sweeper = asyncio.create_task(_sweep_forever(parts.keeper))
        parts.ready = True
        yield
        parts.ready = False
        sweeper.cancel()
        await parts.fleet.stop()

    app = FastAPI(
        title="nextword",
        summary="Next-word prediction with per-session state.",
        version="1",
        lifespan=lifespan,
    )
    app.state.parts = parts
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    problems.install(app)
    for module in (sessions, text, admin):
        app.include_router(module.router)
    return app


def _assemble(settings: Settings) -> Parts:
    fleet = Fleet(settings)
    rules = Rules(settings.session_idle_ttl_s, settings.max_tokens, settings.session_marks)
    store = MemoryStore(settings.max_sessions)
    # A secret of this process's own: its sessions die with it, and so do their ids.
    keeper = Keeper(fleet, store, IdMint(secrets.token_bytes(32)), rules, time.time)
    return Parts(settings, fleet, keeper, rules)


async def _sweep_forever(keeper: Keeper) -> None:
    """Free the room of expired sessions that nobody asks for any more."""
    while True:
        await asyncio.sleep(_SWEEP_INTERVAL_S)
        keeper.sweep()
