"""What a model is worth: perplexity, top-k recall, keystroke savings.

The definitions are those of DESIGN.md section 9, so that everybody measures the same.
Must not know: torch, onnxruntime, how a model is stored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.cache import CacheConfig, Recall
from models.text import Tokenizer
from models.words import is_suggestible
from training.judge import WORD, Judge, Spelled, Tally
from training.scorer import Floats, Scorer

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
    exact_case: float
    """Of the words recalled at 1, the share offered with the capitals they were written with."""
    marks: int
    marks_top3: float
    """Share of the punctuation marks that are among three suggestions where they are asked for."""

    def table(self) -> str:
        """The figures as lines for a terminal."""
        return (
            f"perplexity         {self.perplexity:.2f} over {self.tokens:,} tokens\n"
            f"  a word           {self.word_perplexity:.2f} (by white space)\n"
            f"top-1              {self.top1:.2%} of {self.words:,} words\n"
            f"top-3              {self.top3:.2%}\n"
            f"top-5              {self.top5:.2%}\n"
            f"keystroke savings  {self.keystroke_savings:.2%}\n"
            f"unknown tokens     {self.unknown_rate:.2%}\n"
            f"exact capitals     {self.exact_case:.2%} of the words recalled first\n"
            f"punctuation top-3  {self.marks_top3:.2%} of {self.marks:,} marks"
        )


def evaluate(scorer: Scorer, tokenizer: Tokenizer, text: str) -> Evaluation:
    """Measure a model on a text whose dialogues are parted by blank lines."""
    ids = np.array(tokenizer.encode(text), np.int64)
    tally = recall(scorer, tokenizer, text)
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
        exact_case=tally.exact_case(),
        marks=tally.marks,
        marks_top3=tally.mark_recall(),
    )


def recall(
    scorer: Scorer, tokenizer: Tokenizer, text: str, cache: CacheConfig | None = None
) -> Tally:
    """What a keyboard would have offered over a text, perhaps with a cache a dialogue."""
    tally, judge = Tally(), Judge(tokenizer)
    for group in _groups(dialogues(text)):
        for dialogue, hidden_TD in _read(scorer, tokenizer, group):
            log_probs_TV = scorer.log_probs(hidden_TD)
            spelled_T: list[Spelled] = []
            if cache is not None:
                spelled_T = _mix(cache, tokenizer, dialogue, hidden_TD, log_probs_TV)
            judge.add(tally, dialogue, log_probs_TV, spelled_T)
    return tally


def _mix(
    cache: CacheConfig,
    tokenizer: Tokenizer,
    dialogue: str,
    hidden_TD: Floats,
    log_probs_TV: Floats,
) -> list[Spelled]:
    """Mix a cache into every row of a dialogue's scores, in place.

    Returns the words outside the vocabulary that it offers at each.
    """
    ids, ends = tokenizer.scan(dialogue)
    words = [dialogue[start:end].strip() for start, end in pairwise([0, *ends])]
    unknown = tokenizer.unknown_id
    spellings = [
        word if token_id == unknown and is_suggestible(word) else None
        for token_id, word in zip(ids, words, strict=True)
    ]
    spelled_T: list[Spelled] = []
    for row, hidden_D in enumerate(hidden_TD):
        first = max(0, row - cache.size)
        held = Recall(cache, tuple(ids[first:row]), tuple(spellings[first:row]))
        odds = held.odds(hidden_TD[first:row], hidden_D)
        spelled_T.append({} if odds is None else {w: odds.log_odds(w) for w in odds.spelled})
        if odds is not None:
            log_probs_TV[row] = odds.mix(log_probs_TV[row])
    return spelled_T


def dialogues(text: str) -> list[str]:
    """The dialogues of a text: what stands between lines without anything on them."""
    parts = re.split(r"\n(?:[ \t]*\n)+", text)
    return [part for part in parts if WORD.search(part)]


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


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Dialogues of like length together, so that little is padded."""
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), _STREAMS):
        yield ordered[start : start + _STREAMS]


def _read(
    scorer: Scorer, tokenizer: Tokenizer, texts: Sequence[str]
) -> Iterator[tuple[str, Floats]]:
    """Each text with the hidden vectors [T + 1, D] behind its first t tokens.

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
        yield text, np.concatenate(parts)
