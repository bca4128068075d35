"""Natural text: cut into pieces that tile it, and put together again without loss."""

from __future__ import annotations

import pytest
from hypothesis import example, given

from models.text import Tokenizer
from tests.unit.models.texts import knowing, natural_texts

PIECES = {
    "How are you": ["How", "are", "you"],
    "I don't know": ["I", "don't", "know"],
    "it’s o'clock": ["it’s", "o'clock"],
    "dogs' bones": ["dogs", "'", "bones"],
    "say 'hi'": ["say", "'", "hi", "'"],
    "rock 'n' roll": ["rock", "'", "n", "'", "roll"],
    "Hi, you.": ["Hi", ",", "you", "."],
    "wait...": ["wait", ".", ".", "."],
    "a_b": ["a", "_", "b"],
    "3.14": ["3", ".", "14"],
    "e\u0301te\u0301": ["e\u0301te\u0301"],
    "x\ny": ["x", "\n", "y"],
    "x\n\ny\n": ["x", "\n", "\n", "y", "\n"],
}


@given(natural_texts)
@example("How are  you ?\n  fine\n\n\t'tis  \n")
@example("👍🏽 👩‍👩‍👧 ❤️ don’t E\u0301 e\u0301 _under_score_ \u00a0x\r\n")
def test_known_text_comes_back_exactly(text: str) -> None:
    """Decoding what was encoded gives the same text, whatever its spacing and letters."""
    tokenizer = knowing(text)

    assert text == tokenizer.decode(tokenizer.encode(text))


@given(natural_texts)
def test_known_text_holds_nothing_unknown(text: str) -> None:
    """A vocabulary of all pieces of a text reads it without a single unknown token."""
    tokenizer = knowing(text)

    assert tokenizer.unknown_id not in tokenizer.encode(text)
    assert text.count("\n") == tokenizer.encode(text).count(tokenizer.newline_id)


@pytest.mark.parametrize("text", PIECES)
def test_text_is_cut_into_words_and_marks(text: str) -> None:
    """A word keeps its inner apostrophes; every other mark and line break stands alone."""
    tokenizer = knowing(text)

    shown = [tokenizer.tokens[i].removeprefix(" ") for i in tokenizer.encode(text)]

    assert PIECES[text] == shown


def test_a_word_is_the_same_token_at_a_lines_start_and_inside() -> None:
    """A line's first word is the token that it is behind a space."""
    tokenizer = Tokenizer.from_tokens([" go", " you"], "natural")

    assert tokenizer.encode("go you go\ngo") == [2, 3, 2, 1, 2]


def test_a_word_behind_a_mark_is_another_token() -> None:
    """A word glued to what stands before it is told from one behind a space."""
    tokenizer = Tokenizer.from_tokens([" go", "go", " ("], "natural")

    assert tokenizer.encode("(go go") == [4, 3, 2]


def test_words_that_differ_in_case_differ() -> None:
    """Nothing is lower-cased or normalised on the way in."""
    tokenizer = knowing("The the THE \u00e9 e\u0301")

    assert len(set(tokenizer.encode("The the THE \u00e9 e\u0301"))) == 5


def test_unknown_pieces_are_one_unknown_token_each() -> None:
    """What the vocabulary lacks is read as the unknown token, piece by piece."""
    tokenizer = Tokenizer.from_tokens([" you"], "natural")

    assert tokenizer.encode("hey you!") == [0, 2, 0]
    assert tokenizer.encode("<unk>") == [0, 0, 0]


def test_lines_are_encoded_as_the_text_is(natural_lines: list[str]) -> None:
    """Encoding lines in parallel gives what encoding each of them gives."""
    tokenizer = knowing("\n".join(natural_lines))

    together = list(tokenizer.encode_lines(natural_lines))

    assert [tokenizer.encode(line) for line in natural_lines] == together


@pytest.fixture
def natural_lines() -> list[str]:
    """Lines with leading, doubled and trailing blanks, an empty one among them."""
    return ["How are you", "  two  spaces ", "", "'quoted'", "don't\tstop", "👍🏽!"]
