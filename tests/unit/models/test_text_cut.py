"""Cutting a text box into finished words and the partial word that is being typed."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.text import Cut, Mode, Tokenizer
from tests.unit.models.texts import natural_texts

NATURAL = Tokenizer.from_tokens([" a"], "natural")
PRETOKENISED = Tokenizer.from_tokens(["a"], "pretokenised")
TOKENIZERS = {tokenizer.mode: tokenizer for tokenizer in (NATURAL, PRETOKENISED)}

# text, what is finished, what is pending, whether a space is known to stand before the next word
NATURAL_CUTS = [
    ("", "", "", True),
    ("hel", "", "hel", True),
    ("hello wor", "hello", "wor", True),
    ("hello  wor", "hello", "wor", True),
    ("hello\twor", "hello", "wor", True),
    ("hello ", "hello", "", True),
    ("hello \t ", "hello", "", True),
    (" ", "", "", True),
    ("hello\n", "hello\n", "", True),
    ("hello\nwor", "hello\n", "wor", True),
    ("hello\n\n", "hello\n\n", "", True),
    ("hello\n  ", "hello\n", "", True),
    ("hello.", "hello.", "", False),
    ("hello. ", "hello.", "", True),
    ("hello.wor", "hello.", "wor", False),
    ("(wor", "(", "wor", False),
    ("hello -", "hello -", "", False),
    ("👍🏽", "👍🏽", "", False),
    ("can you hear e\u0301t", "can you hear", "e\u0301t", True),
    ("room 4", "room", "4", True),
    # apostrophes: inside and at the end of a word they belong to it, before it they quote
    ("I don't", "I", "don't", True),
    ("I don'", "I", "don'", True),
    ("I don’", "I", "don’", True),
    ("say 'hel", "say '", "hel", False),
    ("say ’hel", "say ’", "hel", False),
    ("'hel", "'", "hel", False),
    ("say 'don't", "say '", "don't", False),
    ("say '", "say '", "", False),
    ("say ''", "say ''", "", False),
    ("'", "'", "", False),
]

PRETOKENISED_CUTS = [
    ("", "", "", True),
    ("the wor", "the", "wor", True),
    ("the 's", "the", "'s", True),
    ("the @-", "the", "@-", True),
    ("the , ", "the ,", "", True),
    ("the\n", "the\n", "", True),
    ("the\nwor.", "the\n", "wor.", True),
]

# text, what is finished, whether a space is known to stand before the next word
FINISHED = [
    ("", "", True),
    ("I would love to", "I would love to", True),
    ("I would love to ", "I would love to", True),
    ("over.", "over.", False),
    ("over. \t", "over.", True),
    ("over\n", "over\n", True),
    ("over\n ", "over\n", True),
    ("don'", "don'", False),
    ("   ", "", True),
]


@pytest.mark.parametrize(("text", "finished", "pending", "spaced"), NATURAL_CUTS)
def test_a_text_box_is_cut(text, finished, pending, spaced) -> None:
    """The word at the very end is pending, everything before it finished."""
    assert Cut(finished, pending, spaced) == NATURAL.cut(text)


@pytest.mark.parametrize(("text", "finished", "pending", "spaced"), PRETOKENISED_CUTS)
def test_a_pretokenised_text_box_is_cut(text, finished, pending, spaced) -> None:
    """In pre-tokenised text everything behind the last white space is pending."""
    assert Cut(finished, pending, spaced) == PRETOKENISED.cut(text)


@pytest.mark.parametrize(("text", "finished", "spaced"), FINISHED)
def test_a_text_of_finished_words_has_nothing_pending(text, finished, spaced) -> None:
    """Read as finished words, the last word is finished too and blanks behind it wait."""
    assert Cut(finished, "", spaced) == NATURAL.finish(text)


@given(natural_texts, st.sampled_from(get_args(Mode)))
def test_a_cut_loses_nothing_but_blanks(text: str, mode: Mode) -> None:
    """Finished text, blanks and the pending word, in this order, are the text."""
    finished, pending, _ = TOKENIZERS[mode].cut(text)
    between = text[len(finished) : len(text) - len(pending)]

    assert text == finished + between + pending
    assert set(between) <= {" ", "\t"}
    assert finished == finished.rstrip(" \t")


@given(natural_texts, st.sampled_from(["a", "é", "Z", "7"]))
def test_a_letter_is_always_pending(text: str, letter: str) -> None:
    """Whatever stands before, a letter that was just typed belongs to the pending word."""
    assert NATURAL.cut(text + letter).pending.endswith(letter)


@given(natural_texts, st.sampled_from([" ", "\n", "\t"]))
def test_a_space_or_line_break_finishes_the_word(text: str, end: str) -> None:
    """Behind white space nothing is pending and the next word stands behind a space."""
    _, pending, spaced = NATURAL.cut(text + end)

    assert (pending, spaced) == ("", True)
