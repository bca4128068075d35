"""Texts edited by hypothesis while an event loop runs. No tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given
from hypothesis import strategies as st

Splice = tuple[int, int, str]
"""Replaces the text from one place to another."""


def edits(typed: st.SearchStrategy[str], pasted: st.SearchStrategy[str]) -> st.SearchStrategy:
    """Some edits, each a whole new text or a splice of the old one."""
    splice = st.tuples(st.integers(0, 50), st.integers(0, 50), pasted)
    return st.lists(st.one_of(typed, splice), min_size=1, max_size=6)


async def after_every_edit(
    some_edits: st.SearchStrategy, see: Callable[[str], Awaitable[None]]
) -> None:
    """Await `see` with the text after every edit; each example begins with an empty text."""

    async def play(example: list[str | Splice]) -> None:
        text = ""
        for edit in example:
            text = edit if isinstance(edit, str) else text[: edit[0]] + edit[2] + text[edit[1] :]
            await see(text)

    loop = asyncio.get_running_loop()

    @given(some_edits)
    def check(example: list[str | Splice]) -> None:
        asyncio.run_coroutine_threadsafe(play(example), loop).result(timeout=60)

    await asyncio.to_thread(check)
