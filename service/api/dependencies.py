"""What routes need of the application, typed in one place.

Must not know: routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.engine.fleet import Fleet
from service.sessions.keeper import Keeper, Rules
from service.settings import Settings


@dataclass
class Parts:
    """The running parts of a service."""

    settings: Settings
    fleet: Fleet
    keeper: Keeper
    rules: Rules
    ready: bool = False


def parts_of(request: Request) -> Parts:
    """The parts of the application that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]
