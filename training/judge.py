"""What a keyboard would have offered in the place of each word, and what that is worth.

The definitions are those of DESIGN.md section 9, so that everybody measures the same.
Must not know: torch, onnxruntime, how a model is read.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from models.text import Tokenizer
from training.scorer import Floats

OFFERED = 3
"""Suggestions a keyboard shows at once."""

WORD = re.compile(r"[A-Za-z0-9']+")


Spelled = Mapping[str, float]
"""Words outside the vocabulary with their log-probability."""


@dataclass(frozen=True)
class Offer:
    """What was offered for a word: its rank (0 is best, None if not at all), what it cost.

    A keyboard shows `OFFERED` words before and after every letter; taking one is one key.
    """

    rank: int | None
    keys: int
    exact: bool = False
    """Whether it was offered first, and just as it was written."""


@dataclass
class Tally:
    """Running sums over words and punctuation marks."""

    words: int = 0
    letters: int = 0
    """One for each letter, and one for the space behind each word."""
    keys: int = 0
    hits: tuple[int, ...] = (0,) * 5
    exact: int = 0
    """Words offered first that were written just so, capitals included."""
    marks: int = 0
    marks_offered: int = 0
    """Marks that would have been among the suggestions of who asks for them."""

    def add(self, length: int, offer: Offer) -> None:
        """Count a word of so many letters, and what was offered for it."""
        self.words += 1
        self.letters += length + 1
        self.keys += offer.keys
        self.exact += offer.exact
        if offer.rank is not None:
            self.hits = tuple(n + (offer.rank <= at) for at, n in enumerate(self.hits))

    def recall(self, k: int) -> float:
        """Share of the words that were among the first k."""
        return self.hits[k - 1] / max(1, self.words)

    def savings(self) -> float:
        """Share of the keys that need not be pressed."""
        return 1 - self.keys / self.letters if self.letters else 0.0

    def exact_case(self) -> float:
        """Share of the words offered first that were offered as they were written."""
        return self.exact / max(1, self.hits[0])

    def mark_recall(self) -> float:
        """Share of the marks that were among the suggestions."""
        return self.marks_offered / max(1, self.marks)


class Judge:
    """Ranks each true word among the words a model would have offered in its place."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Judge a vocabulary's words."""
        self._tokenizer = tokenizer
        self._lists = {spaced: _WordList(tokenizer, spaced=spaced) for spaced in (True, False)}
        shown = tokenizer.words.shown
        self._marks = {int(i): shown[i] for i in tokenizer.words.marks}

    def add(
        self, tally: Tally, dialogue: str, log_probs_TV: Floats, spelled_T: Sequence[Spelled] = ()
    ) -> None:
        """Count every word of a dialogue; row t scores what follows its first t tokens.

        `spelled_T` are the words outside the vocabulary that a cache offers there.
        """
        ids, ends = self._tokenizer.scan(dialogue)
        starts = np.array([0, *ends])
        spelled_T = spelled_T or [{}] * len(log_probs_TV)
        for match in WORD.finditer(dialogue):
            word = match.group()
            # The row of the token that this word begins, behind the space it may start with.
            row = int(np.searchsorted(starts, match.start(), side="right")) - 1
            before = dialogue[int(starts[row]) : match.start()]
            spaced = match.start() == 0 or dialogue[match.start() - 1].isspace()
            if before.strip() or row >= len(log_probs_TV):  # the word begins inside a token
                tally.add(len(word), Offer(None, len(word) + 1))
            else:
                offer = self._lists[spaced].judge(word, log_probs_TV[row], spelled_T[row])
                tally.add(len(word), offer)
        for row, token_id in enumerate(ids):
            if token_id in self._marks:
                tally.marks += 1
                tally.marks_offered += self._offers_mark(token_id, log_probs_TV[row])

    def _offers_mark(self, token_id: int, log_probs_V: Floats) -> bool:
        """Whether a mark is among the suggestions, each mark as likely as its likelier twin."""
        own = self._marks[token_id]
        scores: dict[str, float] = defaultdict(lambda: -math.inf)
        for other, mark in self._marks.items():
            scores[mark] = max(scores[mark], float(log_probs_V[other]))
        better = sum(score > scores[own] for score in scores.values())
        return better + self._lists[True].count_above(scores[own], log_probs_V) < OFFERED


class _WordList:
    """The different lower-cased words that can be offered, with all tokens that spell each."""

    def __init__(self, tokenizer: Tokenizer, *, spaced: bool) -> None:
        self._shown = shown = tokenizer.words.shown
        ids = [int(i) for i in tokenizer.words.starting_with("", spaced=spaced)]
        pairs = sorted((shown[i].lower(), i) for i in ids if WORD.fullmatch(shown[i]))
        self._words = sorted({word for word, _ in pairs})
        self._index = {word: i for i, word in enumerate(self._words)}
        self._ids = np.array([i for _, i in pairs], np.int64)
        firsts = [n for n, (word, _) in enumerate(pairs) if n == 0 or word != pairs[n - 1][0]]
        self._firsts = np.array(firsts, np.int64)
        """Where each word's tokens start in `_ids`."""

    def judge(self, written: str, log_probs_V: Floats, spelled: Spelled) -> Offer:
        """What is offered in the place of a word, in whatever case it is written."""
        word = written.lower()
        others = self._outside(spelled)
        target = self._index.get(word)
        if target is None and word not in others:
            return Offer(None, len(word) + 1)
        scores = np.maximum.reduceat(log_probs_V[self._ids], self._firsts)
        if target is None:
            better, score = np.flatnonzero(scores > others[word]), others[word]
        else:
            better, score = self._better(scores, target, log_probs_V), float(scores[target])
        rivals = [other for other, odds in others.items() if odds > score]
        rank = len(better) + len(rivals)
        if rank < OFFERED:
            return Offer(rank, 1, rank == 0 and self._shown_as(word, log_probs_V, spelled, written))
        shared = self._shared_prefix(better, word)
        by_rivals = [_common_letters(word, rival) for rival in rivals]
        shared = np.concatenate([shared, np.array(by_rivals, np.int64)])
        for typed in range(1, len(word) + 1):
            if np.count_nonzero(shared >= typed) < OFFERED:
                return Offer(rank, typed + 1)
        return Offer(rank, len(word) + 1)

    def _outside(self, spelled: Spelled) -> dict[str, float]:
        """The words that only a cache offers, lower-cased, with their best log-probability."""
        best: dict[str, float] = {}
        for spelling, log_prob in spelled.items():
            word = spelling.lower()
            if WORD.fullmatch(word) and word not in self._index:
                best[word] = max(log_prob, best.get(word, -math.inf))
        return best

    def _shown_as(self, word: str, log_probs_V: Floats, spelled: Spelled, written: str) -> bool:
        """Whether a word is offered just as it was written."""
        if word in self._index:
            return self._likeliest(self._index[word], log_probs_V) == written
        return max((s for s in spelled if s.lower() == word), key=lambda s: spelled[s]) == written

    def count_above(self, score: float, log_probs_V: Floats) -> int:
        """How many different words are likelier than something else."""
        scores = np.maximum.reduceat(log_probs_V[self._ids], self._firsts)
        return int(np.count_nonzero(scores > score))

    def _likeliest(self, index: int, log_probs_V: Floats) -> str:
        """The spelling of a word that is offered, of all that differ in case."""
        ends = [*self._firsts[1:], len(self._ids)]
        ids = self._ids[self._firsts[index] : ends[index]]
        return self._shown[int(ids[log_probs_V[ids].argmax()])]

    def _better(self, scores: Floats, target: int, log_probs_V: Floats) -> NDArray[np.int64]:
        """The words ranked before the target; ties go to the lower of the ids that tie."""
        above = scores > scores[target]
        if np.count_nonzero(scores == scores[target]) > 1:
            tied = log_probs_V[self._ids] == scores[target]
            ids = np.where(tied, self._ids, len(log_probs_V))
            lowest = np.minimum.reduceat(ids, self._firsts)
            above |= (scores == scores[target]) & (lowest < lowest[target])
        return np.flatnonzero(above)

    def _shared_prefix(self, indices: NDArray[np.int64], word: str) -> NDArray[np.int64]:
        """How many letters each of the words has in common with `word` from its start on."""
        letters = self._letters[indices, : len(word)]
        target = np.frombuffer(word.ljust(letters.shape[1], "\0").encode(), np.uint8)
        same = letters == target[: letters.shape[1]]
        shared: NDArray[np.int64] = np.logical_and.accumulate(same, axis=1).sum(axis=1)
        return shared

    @cached_property
    def _letters(self) -> NDArray[np.uint8]:
        width = max(map(len, self._words))
        table = "".join(word.ljust(width, "\0") for word in self._words)
        return np.frombuffer(table.encode(), np.uint8).reshape(-1, width)


def _common_letters(a: str, b: str) -> int:
    """How many letters two words have in common from their start on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
