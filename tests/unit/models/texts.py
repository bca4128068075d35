"""Texts to try a tokenizer with, and tokenizers that know them whole. No tests."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st

from models.errors import VocabularyError
from models.text import Mode, Tokenizer

FRAGMENTS = (
    *(
        "a",
        "b",
        "Ab",
        "don",
        "t",
        "I",
        "été",
        "E\u0301",
        "ΟΔΟΣ",
        "İ",
        "straße",
        "漢字",
        "हिन्दी",
        "42",
    ),
    *("'", "’", "''", "can't", "’tis", "dogs'", '"', "-", "--", "_", "_x_", ".", "...", "?!", "€"),
    *(" ", " ", " ", "  ", "   ", "\n", "\n", "\n\n", "\t", " \t ", "\r", "\r\n"),
    *("\u00a0", "\u3000", "\u2028", "\x85", "\x1c", "\u200b", "\ufeff"),
    *("😀", "👍🏽", "👩‍👩‍👧", "🇩🇪", "❤️", "\U0010ffff", "<unk>", "\x7f"),
)
"""Words, apostrophes, blanks of every kind and pictographs, to be set in any order."""

composed = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join)
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
natural_texts = composed | anything
"""Any readable text, most of it where pieces touch."""

plain_words = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=5
).filter(lambda word: not any(character.isspace() for character in word))
canonical_lines = st.lists(plain_words | st.just("<unk>"), max_size=5).map(" ".join)
canonical_texts = st.lists(canonical_lines, max_size=4).map("\n".join)
"""Pre-tokenised text: words with one space between them, lines with a break between them."""


def knowing(text: str, mode: Mode = "natural") -> Tokenizer:
    """A tokenizer trained on the text's own lines, with every piece in its vocabulary."""
    lines = text.split("\n")
    size = largest_vocabulary(lines, mode)
    return Tokenizer.train(lines, size, mode) if size > 2 else Tokenizer.from_tokens([], mode)


def largest_vocabulary(lines: Sequence[str], mode: Mode) -> int:
    """How many tokens the lines can fill, told by the refusal of too many."""
    with pytest.raises(VocabularyError) as refused:
        Tokenizer.train(lines, 10**9, mode)
    found = re.search(r"(\d+)$", str(refused.value))
    assert found is not None
    return int(found.group())
