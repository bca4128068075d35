"""The baseline: an interpolated Kneser-Ney n-gram model over the same tokens as a network.

Kneser & Ney 1995, interpolated and with the three discounts of Chen & Goodman 1999. It is a scorer
like any other: what it "hides" are the last tokens it read.
Must not know: networks, texts, metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.scorer import Floats, NumpyState

ORDER = 4

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class _Level:
    """What is known of one order: for each context, the words seen behind it."""

    contexts: Ids
    """Keys of the contexts, sorted."""
    starts: Ids
    """Where each context's words begin in `words`, and where the last one's end."""
    words: NDArray[np.int32]
    shares: Floats
    """Discounted probability of each word in its context."""
    rest: Floats
    """What the discounts took of each context, for the shorter context to share out."""


class KneserNey:
    """An n-gram model over token ids; a `Scorer`."""

    def __init__(self, ids: NDArray[np.integer], vocabulary: int, order: int = ORDER) -> None:
        """Count a row of ids; CorpusError where it is too short or the vocabulary too large."""
        if len(ids) < order:
            raise CorpusError(f"{len(ids)} tokens are too few for {order}-grams")
        if vocabulary**order >= 2**63:
            raise CorpusError(f"{vocabulary} words are too many for {order}-grams")
        self._vocabulary = vocabulary
        self._order = order
        keys, counts = np.unique(
            _grams(ids.astype(np.int64), vocabulary, order), return_counts=True
        )
        levels = []
        for length in range(order, 1, -1):
            levels.append(_level(keys, counts, vocabulary))
            # A lower order counts the different words that stood before, not occurrences.
            keys, counts = np.unique(keys % vocabulary ** (length - 1), return_counts=True)
        self._levels = levels[::-1]
        self._unigram = _unigram(keys, counts, vocabulary)

    def initial_state(self, batch: int) -> NumpyState:
        """Nothing read: -1 in place of each of the tokens before."""
        return [np.full((1, batch, self._order - 1), -1, np.float32)]

    def read(
        self, ids_BT: Ids, lengths_B: NDArray[np.int32], state: NumpyState
    ) -> tuple[Floats, NumpyState]:
        """The last tokens at each place, [B, T, order - 1], and those at each row's own length."""
        width = self._order - 1
        past_BT = np.concatenate([state[0][0], ids_BT.astype(np.float32)], axis=1)
        hidden_BTD = np.lib.stride_tricks.sliding_window_view(past_BT[:, 1:], width, axis=1)
        last = [past_BT[row, length : length + width] for row, length in enumerate(lengths_B)]
        return np.ascontiguousarray(hidden_BTD), [np.stack(last)[None]]

    def log_probs(self, hidden_ND: Floats) -> Floats:
        """Log-probabilities [N, V] of the next token."""
        probabilities_NV = np.empty((len(hidden_ND), self._vocabulary), np.float32)
        for row_V, past in zip(probabilities_NV, hidden_ND.astype(np.int64), strict=True):
            self._fill(row_V, past)
        return np.log(probabilities_NV, out=probabilities_NV)

    def _fill(self, row_V: Floats, past: Ids) -> None:
        """From the empty context to the longest one that was seen."""
        row_V[:] = self._unigram
        key, place_value = 0, 1
        for level, token_id in zip(self._levels, past[::-1], strict=True):
            if token_id < 0:
                return
            key += int(token_id) * place_value
            place_value *= self._vocabulary
            place = int(np.searchsorted(level.contexts, key))
            if place == len(level.contexts) or level.contexts[place] != key:
                return
            words = slice(level.starts[place], level.starts[place + 1])
            row_V *= level.rest[place]
            row_V[level.words[words]] += level.shares[words]


def _grams(ids: Ids, vocabulary: int, order: int) -> Ids:
    """Every run of `order` ids as one number, the last id its lowest digit."""
    count = len(ids) - order + 1
    keys = np.zeros(count, np.int64)
    for offset in range(order):
        keys = keys * vocabulary + ids[offset : offset + count]
    return keys


def _level(keys: Ids, counts: Ids, vocabulary: int) -> _Level:
    """Discounted shares of n-grams that are sorted by key, and so by context."""
    contexts, starts = np.unique(keys // vocabulary, return_index=True)
    lengths = np.diff([*starts, len(keys)])
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    totals = np.add.reduceat(counts, starts)
    rest = np.add.reduceat(discounts, starts) / totals
    shares = (counts - discounts) / np.repeat(totals, lengths)
    return _Level(
        contexts=contexts,
        starts=np.append(starts, len(keys)),
        words=(keys % vocabulary).astype(np.int32),
        shares=shares.astype(np.float32),
        rest=rest.astype(np.float32),
    )


def _discounts(counts: Ids) -> NDArray[np.float64]:
    """What is taken from n-grams seen 0, 1, 2, and 3 or more times (Chen & Goodman 1999, eq. 26).

    Where a text is too small for the estimate, the plain discount of 0.75 stands in.
    """
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == n)) for n in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return np.array([0.0, 0.75, 0.75, 0.75])
    y = n1 / (n1 + 2 * n2)
    taken = [0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return np.clip(taken, 0.0, [0.0, 0.99, 1.99, 2.99])


def _unigram(keys: Ids, counts: Ids, vocabulary: int) -> Floats:
    """Continuation shares of single words, what is taken from them spread over all words alike."""
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    total = counts.sum()
    shares_V = np.full(vocabulary, discounts.sum() / total / vocabulary)
    shares_V[keys] += (counts - discounts) / total
    if not discounts.sum():  # nothing was taken, yet no word may be impossible
        shares_V = (shares_V + 1e-6) / (1 + 1e-6 * vocabulary)
    return shares_V.astype(np.float32)
