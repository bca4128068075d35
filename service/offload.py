"""Keeps long work off the event loop, so that one long text does not hold up all typists.

Must not know: what the work is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_LONG = 8192
"""Characters that take about 2 ms to tokenise; a thread is not worth it below."""


async def off_loop_if_long(characters: int, work: Callable[[], _T]) -> _T:
    """Do something about a text: here where it is short, in a thread where it is long.

    The work must change nothing that others see.
    """
    if characters < _LONG:
        return work()
    return await asyncio.to_thread(work)
