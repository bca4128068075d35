"""Next-word metrics word for word as the design defines them, slowly. No tests.

Words are lower-cased matches of `[a-z0-9']+`. Before each one, the model, fed the true text up to
there, offers words: suggestions that are not such words, or repeat one, are skipped. Three are
shown before and after every typed letter; taking one costs one key and includes the space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.text import Tokenizer
from training.scorer import Scorer

WORD = re.compile(r"[a-z0-9']+")


class Figures(NamedTuple):
    """What the metrics come to."""

    words: int
    recall: dict[int, float]
    savings: float


def measure(scorer: Scorer, tokenizer: Tokenizer, dialogues: list[str]) -> Figures:
    """Go through the words of each dialogue, reading the text anew before each of them."""
    words, hits, keys, letters = 0, dict.fromkeys((1, 3, 5), 0), 0, 0
    for dialogue in dialogues:
        for match in WORD.finditer(dialogue.lower()):
            before, word = dialogue[: match.start()], match.group()
            scores = _read(scorer, tokenizer, before)
            offered = list(_offers(scores, tokenizer, spaced=not before or before[-1].isspace()))
            words += 1
            for k in hits:
                hits[k] += word in offered[:k]
            keys += _keys_for(word, offered)
            letters += len(word) + 1
    return Figures(words, {k: n / words for k, n in hits.items()}, 1 - keys / letters)


def _read(scorer: Scorer, tokenizer: Tokenizer, before: str) -> NDArray[np.float32]:
    """What the model thinks of every token behind a text; a line break stands for no text."""
    ids = tokenizer.encode(before.removesuffix(" ")) or [tokenizer.newline_id]
    lengths = np.array([len(ids)], np.int32)
    hidden_BTD, _ = scorer.read(np.array([ids], np.int64), lengths, scorer.initial_state(1))
    return scorer.log_probs(hidden_BTD[0, -1:])[0]


def _offers(scores: NDArray[np.float32], tokenizer: Tokenizer, *, spaced: bool) -> Iterator[str]:
    """Different words, the likeliest first, the lower token id first among equals."""
    offered: set[str] = set()
    for token_id in sorted(range(2, len(scores)), key=lambda i: (-scores[i], i)):
        token = tokenizer.tokens[token_id]
        word = token.removeprefix(" ").lower()
        if WORD.fullmatch(word) and word not in offered and (token[0] == " " or not spaced):
            offered.add(word)
            yield word


def _keys_for(word: str, offered: list[str]) -> int:
    """Type letter by letter until the word is among the three that are shown."""
    for typed in range(len(word) + 1):
        if word in [other for other in offered if other.startswith(word[:typed])][:3]:
            return typed + 1
    return len(word) + 1
