"""Which tokens are words to suggest, how each is shown, and which begin with a prefix.

Must not know: how text is cut into tokens, scores.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "<unk>"
NEWLINE = "\n"
CONTROL_TOKENS = (UNKNOWN, NEWLINE)
"""The tokens every vocabulary starts with, in this order: ids 0 and 1. Never suggested."""


class WordIndex:
    """Which tokens are words to suggest, how each is shown, and which begin with a prefix.

    A word holds a letter, a digit or a pictograph; control tokens and white space are never
    suggested, punctuation marks only to those who ask for them. A vocabulary may hold a word twice:
    behind a space, and glued to what stands before it.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """Index `tokens`, whose position is their id."""
        self.shown: tuple[str, ...] = tuple(token.removeprefix(" ") for token in tokens)
        has_spaces = any(token.startswith(" ") and len(token) > 1 for token in tokens)
        ids = [i for i in range(len(CONTROL_TOKENS), len(tokens)) if is_suggestible(tokens[i])]
        self._any = _SortedWords(ids, self.shown)
        behind_space = [i for i in ids if tokens[i].startswith(" ") or not has_spaces]
        self._spaced = _SortedWords(behind_space, self.shown)
        self.marks: NDArray[np.int64] = np.array(
            [i for i in range(len(CONTROL_TOKENS), len(tokens)) if _is_mark(tokens[i])], np.int64
        )
        """The ids of the punctuation marks, glued and behind a space."""

    def starting_with(self, prefix: str, *, spaced: bool) -> NDArray[np.int64]:
        """The ids of the words that start with `prefix`, whatever the case; all for an empty one.

        `spaced` leaves out the glued twins, for a place known to stand behind white space.
        """
        return (self._spaced if spaced else self._any).starting_with(_folded(prefix))


class _SortedWords:
    """Word ids sorted by their lower-cased spelling, so that a prefix is one slice."""

    def __init__(self, ids: Sequence[int], shown: Sequence[str]) -> None:
        ranked = sorted((_folded(shown[i]), i) for i in ids)
        self._keys = [key for key, _ in ranked]
        self._ids = np.array([i for _, i in ranked], dtype=np.int64)
        self._ids.flags.writeable = False

    def starting_with(self, prefix: str) -> NDArray[np.int64]:
        first = bisect_left(self._keys, prefix)
        last = bisect_right(self._keys, prefix, lo=first, key=lambda word: word[: len(prefix)])
        return self._ids[first:last]


def is_word(character: str) -> bool:
    """Whether a character is a letter, a mark on one, or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def is_suggestible(word: str) -> bool:
    """Whether a piece of text is a word to suggest: it holds a letter, a digit or a pictograph."""
    return any(is_word(c) or unicodedata.category(c) == "So" for c in word)


def starts_with(word: str, prefix: str) -> bool:
    """Whether a word starts with a prefix, whatever the case."""
    return _folded(word).startswith(_folded(prefix))


def _folded(word: str) -> str:
    """A word in lower case, letter by letter: a final sigma is a sigma."""
    return "".join(character.lower() for character in word)


def _is_mark(token: str) -> bool:
    mark = token.strip()
    return len(mark) == 1 and unicodedata.category(mark)[0] == "P"
