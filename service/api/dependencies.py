"""What routes need of the application, typed in one place.

Must not know: routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.engine.fleet import Fleet
from service.sessions.keeper import Keeper
from service.sessions.rules import Rules
from service.sessions.store import Store
from service.settings import Settings


@dataclass
class Parts:
    """The running parts of a service."""

    settings: Settings
    fleet: Fleet
    store: Store
    keeper: Keeper
    rules: Rules
    ready: bool = False
    live: int = 0
    """Live connections open now."""

    async def stop(self) -> None:
        """Finish what waits in the engines, then in the store."""
        await self.fleet.stop()
        await self.store.stop()


def parts_of(request: Request) -> Parts:
    """The parts of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]
