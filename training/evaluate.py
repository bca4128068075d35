"""What a model is worth: perplexity, top-k recall, keystroke savings.

The definitions are those of DESIGN.md section 9, so that everybody measures the same.
Must not know: torch, onnxruntime, how a model is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.text import Tokenizer
from training.scorer import Floats, Scorer

OFFERED = 3
"""Suggestions a keyboard shows at once, for keystroke savings."""

_WORD = re.compile(r"[A-Za-z0-9']+")
_MOST_NATS = 700.0
"""A word may be many tokens; beyond this, exp is no longer a number."""
_STREAMS = 32
_CHUNK = 64


@dataclass(frozen=True)
class Evaluation:
    """The figures of a model on a text; recalls and savings are shares of 1."""

    tokens: int
    perplexity: float
    word_perplexity: float
    """Per white-space word, so that models with different tokenizers compare."""
    words: int
    top1: float
    top3: float
    top5: float
    keystroke_savings: float
    unknown_rate: float
    """Share of tokens that the vocabulary does not hold."""

    def table(self) -> str:
        """The figures as lines for a terminal."""
        return (
            f"perplexity         {self.perplexity:.2f} over {self.tokens:,} tokens\n"
            f"  a word           {self.word_perplexity:.2f} (by white space)\n"
            f"top-1              {self.top1:.2%} of {self.words:,} words\n"
            f"top-3              {self.top3:.2%}\n"
            f"top-5              {self.top5:.2%}\n"
            f"keystroke savings  {self.keystroke_savings:.2%}\n"
            f"unknown tokens     {self.unknown_rate:.2%}"
        )


def evaluate(scorer: Scorer, tokenizer: Tokenizer, text: str) -> Evaluation:
    """Measure a model on a text whose dialogues are parted by blank lines."""
    ids = np.array(tokenizer.encode(text), np.int64)
    tally = _Tally()
    judge = _Judge(tokenizer)
    for group in _groups(dialogues(text)):
        for dialogue, log_probs_TV in _score(scorer, tokenizer, group):
            judge.add(tally, dialogue, log_probs_TV)
    nats = cross_entropy(scorer, ids, tokenizer.newline_id)
    return Evaluation(
        tokens=len(ids),
        perplexity=math.exp(nats / max(1, len(ids))),
        word_perplexity=math.exp(min(nats / max(1, len(text.split())), _MOST_NATS)),
        words=tally.words,
        top1=tally.recall(1),
        top3=tally.recall(3),
        top5=tally.recall(5),
        keystroke_savings=tally.savings(),
        unknown_rate=float(np.mean(ids == tokenizer.unknown_id)) if len(ids) else 0.0,
    )


def dialogues(text: str) -> list[str]:
    """The dialogues of a text: what stands between lines without anything on them."""
    parts = re.split(r"\n(?:[ \t]*\n)+", text)
    return [part for part in parts if _WORD.search(part)]


def cross_entropy(scorer: Scorer, ids: NDArray[np.int64], first: int) -> float:
    """Cross entropy in nats over one stream of ids, the state carried from end to end.

    `first` is read before the stream, so that its first id is predicted as well.
    """
    total = 0.0
    state = scorer.initial_state(1)
    inputs = np.concatenate([[first], ids[:-1]]).astype(np.int64)
    for start in range(0, len(ids), 512):
        chunk, targets = inputs[None, start : start + 512], ids[start : start + 512]
        hidden_BTD, state = scorer.read(chunk, np.array([chunk.shape[1]], np.int32), state)
        log_probs_TV = scorer.log_probs(hidden_BTD[0])
        total -= float(log_probs_TV[np.arange(len(targets)), targets].sum(dtype=np.float64))
    return total


def perplexity(scorer: Scorer, ids: NDArray[np.int64], first: int) -> float:
    """Exp of the mean cross entropy over one stream of ids; `first` is read before it."""
    return math.exp(cross_entropy(scorer, ids, first) / max(1, len(ids)))


@dataclass
class _Tally:
    """Running sums over words."""

    words: int = 0
    letters: int = 0
    """One for each letter, and one for the space behind each word."""
    keys: int = 0
    hits: tuple[int, ...] = (0,) * 5

    def add(self, length: int, rank: int | None, keys: int) -> None:
        self.words += 1
        self.letters += length + 1
        self.keys += keys
        if rank is not None:
            self.hits = tuple(n + (rank <= at) for at, n in enumerate(self.hits))

    def recall(self, k: int) -> float:
        return self.hits[k - 1] / max(1, self.words)

    def savings(self) -> float:
        return 1 - self.keys / self.letters if self.letters else 0.0


class _Judge:
    """Ranks each true word among the words a model would have offered in its place."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lists = {spaced: _WordList(tokenizer, spaced=spaced) for spaced in (True, False)}

    def add(self, tally: _Tally, dialogue: str, log_probs_TV: Floats) -> None:
        """Count every word of a dialogue; row t scores what follows its first t tokens."""
        ends = self._tokenizer.scan(dialogue).ends
        starts = np.array([0, *ends])
        for match in _WORD.finditer(dialogue):
            word = match.group().lower()
            # The row of the token that this word begins, behind the space it may start with.
            row = int(np.searchsorted(starts, match.start(), side="right")) - 1
            before = dialogue[int(starts[row]) : match.start()]
            spaced = match.start() == 0 or dialogue[match.start() - 1].isspace()
            if before.strip() or row >= len(log_probs_TV):  # the word begins inside a token
                tally.add(len(word), None, len(word) + 1)
                continue
            rank, keys = self._lists[spaced].judge(word, log_probs_TV[row])
            tally.add(len(word), rank, keys)


class _WordList:
    """The different lower-cased words that can be offered, with all tokens that spell each."""

    def __init__(self, tokenizer: Tokenizer, *, spaced: bool) -> None:
        shown = tokenizer.words.shown
        ids = [int(i) for i in tokenizer.words.starting_with("", spaced=spaced)]
        pairs = sorted((shown[i].lower(), i) for i in ids if _WORD.fullmatch(shown[i]))
        self._words = sorted({word for word, _ in pairs})
        self._index = {word: i for i, word in enumerate(self._words)}
        self._ids = np.array([i for _, i in pairs], np.int64)
        firsts = [n for n, (word, _) in enumerate(pairs) if n == 0 or word != pairs[n - 1][0]]
        self._firsts = np.array(firsts, np.int64)
        """Where each word's tokens start in `_ids`."""

    def judge(self, word: str, log_probs_V: Floats) -> tuple[int | None, int]:
        """The word's rank among all (0 is best, None if it is not there), and the keys it costs.

        A keyboard shows `OFFERED` words before and after every letter; taking one is one key.
        """
        target = self._index.get(word)
        if target is None:
            return None, len(word) + 1
        scores = np.maximum.reduceat(log_probs_V[self._ids], self._firsts)
        better = self._better(scores, target, log_probs_V)
        if len(better) < OFFERED:
            return len(better), 1
        shared = self._shared_prefix(better, word)
        for typed in range(1, len(word) + 1):
            if np.count_nonzero(shared >= typed) < OFFERED:
                return len(better), typed + 1
        return len(better), len(word) + 1

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


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Dialogues of like length together, so that little is padded."""
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), _STREAMS):
        yield ordered[start : start + _STREAMS]


def _score(
    scorer: Scorer, tokenizer: Tokenizer, texts: Sequence[str]
) -> Iterator[tuple[str, Floats]]:
    """Each text with the log-probabilities [T + 1, V] of what follows its first t tokens.

    Row 0, where nothing was read yet, holds what follows a line break: so does a fresh session.
    """
    opening_BTD, _ = scorer.read(
        np.array([[tokenizer.newline_id]], np.int64),
        np.array([1], np.int32),
        scorer.initial_state(1),
    )
    ids = [tokenizer.encode(text) for text in texts]
    hidden: list[list[Floats]] = [[opening_BTD[0]] for _ in texts]
    state = scorer.initial_state(len(texts))
    longest = max(map(len, ids))
    for start in range(0, longest, _CHUNK):
        lengths = np.array([min(max(len(row) - start, 1), _CHUNK) for row in ids], np.int32)
        ids_BT = np.zeros((len(ids), int(lengths.max())), np.int64)
        for row, row_ids in enumerate(ids):
            piece = row_ids[start : start + _CHUNK]
            ids_BT[row, : len(piece)] = piece
        hidden_BTD, state = scorer.read(ids_BT, lengths, state)
        for row, row_ids in enumerate(ids):
            hidden[row].append(hidden_BTD[row, : max(0, min(len(row_ids) - start, _CHUNK))])
    for text, parts in zip(texts, hidden, strict=True):
        yield text, scorer.log_probs(np.concatenate(parts))
