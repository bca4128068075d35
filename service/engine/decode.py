"""From scores to suggestions: which words are shown for a place in a text.

Must not know: onnxruntime, sessions, HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.cache import Odds, Recall
from models.words import CONTROL_TOKENS, UNKNOWN, WordIndex, starts_with

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ask:
    """How many suggestions a client wants, and of what kind."""

    k: int
    punctuation: bool = False
    """Whether a mark is suggested too, where it is likelier than the words."""


@dataclass(frozen=True)
class Query:
    """What a client wants to see at a place: the best suggestions that start with `prefix`.

    `spaced` tells that the word is known to stand behind white space or at a line's start.
    """

    ask: Ask
    prefix: str = ""
    spaced: bool = True
    recall: Recall | None = None
    """What the session's cache holds at the place, if it has one."""

    @property
    def k(self) -> int:
        """How many suggestions are wanted."""
        return self.ask.k

    @property
    def head_k(self) -> int:
        """How many tokens to ask the head for, so that enough of them are words, mostly."""
        return 1 if self.prefix else 2 * self.k + 16


@dataclass(frozen=True)
class Prediction:
    """A suggested word or mark; `logprob` is the model's own, over its whole vocabulary.

    With a cache it is that of the mixture, and a word outside the vocabulary has the id of the
    unknown word.
    """

    word: str
    token_id: int
    logprob: float

    @property
    def prob(self) -> float:
        """The probability, from 0 to 1."""
        return math.exp(self.logprob)


class Decoder:
    """Chooses suggestions for one vocabulary."""

    def __init__(self, words: WordIndex) -> None:
        """Work on a vocabulary's words."""
        self._words = words
        self._suggestible = lru_cache(maxsize=4)(self._suggestible_mask)

    def suggest(
        self,
        query: Query,
        log_probs_V: Floats,
        top_ids_K: NDArray[np.int64],
        odds: Odds | None = None,
    ) -> list[Prediction]:
        """The `k` best different words for a query; fewer where the vocabulary has no more.

        `top_ids_K`, the head's best tokens in order, are enough in most cases; where too few of
        them are words, and for a prefix, all of `log_probs_V` are looked at. `odds` are a cache's.
        """
        if odds is None:
            return self._known(query, log_probs_V, top_ids_K)
        mixed_V = odds.mix(log_probs_V)
        lifted = np.union1d(top_ids_K, odds.ids_N)
        known = self._known(query, mixed_V, _best_first(lifted, mixed_V, len(lifted)))
        return _merged(known, _spelled(query, odds), query.k)

    def _known(
        self, query: Query, log_probs_V: Floats, top_ids_K: NDArray[np.int64]
    ) -> list[Prediction]:
        """The best words of the vocabulary."""
        marks = query.ask.punctuation
        if not query.prefix:
            allowed = self._suggestible(query.spaced, marks)
            found = self._distinct(top_ids_K[allowed[top_ids_K]], log_probs_V, query.k)
            if len(found) == query.k or len(top_ids_K) == len(log_probs_V):
                return found
        ids = self._words.starting_with(query.prefix, spaced=query.spaced)
        if marks and not query.prefix:
            ids = np.concatenate([ids, self._words.marks])
        return self._distinct(_best_first(ids, log_probs_V, 2 * query.k), log_probs_V, query.k)

    def _distinct(self, ids: Iterable[int], log_probs_V: Floats, k: int) -> list[Prediction]:
        """The first `k` ids that show different words."""
        found: dict[str, Prediction] = {}
        for token_id in ids:
            word = self._words.shown[token_id]
            if word not in found:
                found[word] = Prediction(word, int(token_id), float(log_probs_V[token_id]))
                if len(found) == k:
                    break
        return list(found.values())

    def _suggestible_mask(self, spaced: bool, marks: bool) -> NDArray[np.bool_]:  # noqa: FBT001 - a cache's keys
        mask = np.zeros(len(self._words.shown), np.bool_)
        mask[self._words.starting_with("", spaced=spaced)] = True
        mask[self._words.marks] |= marks
        return mask


def _spelled(query: Query, odds: Odds) -> list[Prediction]:
    """The words outside the vocabulary that a cache offers for a query."""
    return [
        Prediction(word, CONTROL_TOKENS.index(UNKNOWN), odds.log_odds(word))
        for word in odds.spelled
        if starts_with(word, query.prefix)
    ]


def _merged(known: list[Prediction], spelled: list[Prediction], k: int) -> list[Prediction]:
    """The best `k` of two lists, ties to the lower id and spelling, every word once."""
    best: dict[str, Prediction] = {}
    for found in sorted((*known, *spelled), key=lambda p: (-p.logprob, p.token_id, p.word)):
        best.setdefault(found.word, found)
    return list(best.values())[:k]


def _best_first(ids: NDArray[np.int64], log_probs_V: Floats, most: int) -> NDArray[np.int64]:
    """At least the best `most` of `ids`, best first, ties to the lower id."""
    scores = log_probs_V[ids]
    if len(ids) > most:
        threshold = np.partition(scores, len(ids) - most)[len(ids) - most]
        ids = ids[scores >= threshold]
        scores = log_probs_V[ids]
    return ids[np.lexsort((ids, -scores))]
