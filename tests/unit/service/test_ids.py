"""Session ids."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.sessions.ids import IdFacts, IdMint

MINT = IdMint(b"secret")


def test_an_id_tells_when_it_was_made_and_how_long_it_lives() -> None:
    """Whole seconds are kept."""
    assert IdFacts(1_000, 60) == MINT.read(MINT.make(1_000.9, 60.5))


def test_ids_differ() -> None:
    """Two ids of the same moment are two ids."""
    assert MINT.make(1, 1) != MINT.make(1, 1)


def test_an_id_of_another_secret_was_never_here() -> None:
    """So ids cannot be made up."""
    assert MINT.read(IdMint(b"other").make(1_000, 60)) is None


def test_every_changed_character_is_noticed() -> None:
    """No part of an id is free to alter."""
    good = MINT.make(1_000, 60)
    for i, character in enumerate(good):
        altered = good[:i] + ("A" if character != "A" else "B") + good[i + 1 :]
        assert MINT.read(altered) is None


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever stands in the path is either an id or not."""
    assert MINT.read(text) is None
