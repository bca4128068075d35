"""Writing on: token ids or words set behind a text that is there already."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models.errors import VocabularyError
from models.text import Mode, Tokenizer
from tests.unit.models.texts import canonical_texts, knowing, natural_texts

modes = st.sampled_from(get_args(Mode))
WORDS = Tokenizer.from_tokens([" go", "go", ".", " (", " "], "natural")

# kind of text, what is there, what is set behind it, how the two are written
JOINED = [
    ("natural", "", "go", "go"),
    ("natural", "go", "", "go"),
    ("natural", "I would", "love to", "I would love to"),
    ("natural", "I would ", "love", "I would love"),
    ("natural", "I would", " love", "I would love"),
    ("natural", "over.\n", "go", "over.\ngo"),
    ("natural", "over", "\ngo", "over\ngo"),
    ("natural", "over", ".", "over."),
    ("natural", "over", "?!", "over?!"),
    ("natural", "say", "'hi'", "say 'hi'"),
    ("natural", "say", "’tis", "say ’tis"),
    ("natural", "see", "(this)", "see (this)"),
    ("pretokenised", "over", ".", "over ."),
    ("pretokenised", "over", "and", "over and"),
    ("pretokenised", "over\n", "and", "over\nand"),
]


@given(natural_texts)
@example(" x")
@example("a\n  b\n\t")
def test_known_text_is_spelled_as_it_is_read(text: str) -> None:
    """The tokens of a natural text, written out, are the text, and end where a scan says."""
    tokenizer = knowing(text)
    ids, ends = tokenizer.scan(text)

    assert (text, ends) == tokenizer.spell("", ids)


@given(canonical_texts)
def test_known_pretokenised_text_is_spelled_as_it_is_read(text: str) -> None:
    """The tokens of a canonical text, written out, are the text, and end where a scan says."""
    tokenizer = knowing(text, "pretokenised")
    ids, ends = tokenizer.scan(text)

    assert (text, ends) == tokenizer.spell("", ids)


@given(natural_texts, natural_texts, modes, st.data())
def test_ids_in_any_order_are_spelled_as_decoding_writes_them(
    one: str, other: str, mode: Mode, data: st.DataObject
) -> None:
    """Ids in any order, control tokens among them, give what decoding gives."""
    tokenizer = knowing(one + other, mode)
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=8))

    assert tokenizer.decode(ids) == tokenizer.spell("", ids)[0]


@given(natural_texts, modes, st.integers(0, 20))
def test_what_is_spelled_in_two_parts_is_spelled_whole(text: str, mode: Mode, half: int) -> None:
    """Going on behind a text that was spelled gives what spelling it all at once gives."""
    tokenizer = knowing(text, mode)
    ids = tokenizer.encode(text)

    begun, first = tokenizer.spell("", ids[:half])
    assume(not first or first[-1] > [0, *first][-2])  # else a line's unwritten space is lost
    whole, second = tokenizer.spell(begun, ids[half:])

    assert tokenizer.spell("", ids) == (whole, first + second)


@pytest.mark.parametrize(
    ("text", "ids", "spelled", "ends"),
    [
        ("", [2, 2, 4], "go go.", [2, 5, 6]),
        ("I", [2, 3, 5], "I gogo (", [4, 6, 8]),
        ("I\n", [2, 1, 2], "I\ngo\ngo", [4, 5, 7]),
        ("I", [], "I", []),
    ],
)
def test_ids_are_written_behind_a_text(text, ids, spelled, ends) -> None:
    """Each token brings its own space, but not at the start of a line."""
    assert (spelled, ends) == WORDS.spell(text, ids)


@pytest.mark.parametrize("bad", [-1, 7])
def test_an_id_outside_the_vocabulary_is_not_spelled(bad: int) -> None:
    """An id that is no token is refused."""
    with pytest.raises(VocabularyError):
        WORDS.spell("I", [2, bad])


@pytest.mark.parametrize(("mode", "text", "more", "joined"), JOINED)
def test_words_are_set_behind_a_text(mode: Mode, text: str, more: str, joined: str) -> None:
    """One space stands between, unless one is there, a line begins, or a mark closes up."""
    assert joined == Tokenizer.from_tokens(["a"], mode).join(text, more)
