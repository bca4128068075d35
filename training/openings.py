"""Beginnings of documents, read beside the streams so that a model learns to begin from nothing.

A stream carries its state over the blank line between two documents; a new session has none.
Must not know: the model, the optimiser, texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.errors import CorpusError

_Ids = NDArray[np.int32]

_AT_ONCE = 10_000_000
"""Tokens looked through at once: the ids may exceed memory."""


@dataclass(frozen=True)
class Openings:
    """Draws beginnings of documents, others at every step, for a window of any length."""

    ids: _Ids
    starts: NDArray[np.int64]
    """Where documents begin in `ids`."""
    count: int
    """Drawn at each step."""
    seed: int
    own: slice
    """Those of this process."""

    def window(self, step: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Input and target ids, int64 [T, N] each, the same ones whenever the step is the same.

        Half of them begin with a document's first token, half with the line break before it, which
        is what a new session suggests its first word behind.
        """
        chance = np.random.default_rng([self.seed, step])
        at_N = chance.choice(self.starts, self.count) - chance.integers(0, 2, self.count)
        at_N = np.minimum(at_N, len(self.ids) - length - 1)[self.own]
        ids_TN = torch.from_numpy(self.ids[at_N + np.arange(length + 1)[:, None]].astype(np.int64))
        return ids_TN[:-1], ids_TN[1:]


def find_openings(
    ids: _Ids, newline_id: int, count: int, seed: int, own: slice = slice(None)
) -> Openings:
    """The documents that begin behind a blank line; CorpusError where the text has none."""
    starts = [_starts(ids, newline_id, at) for at in range(2, len(ids), _AT_ONCE)]
    found = np.concatenate([np.zeros(0, np.int64), *starts])
    if not len(found):
        raise CorpusError("the text has no blank line, so no document's beginning: set openings=0")
    return Openings(ids, found, count, seed, own)


def _starts(ids: _Ids, newline_id: int, start: int) -> NDArray[np.int64]:
    """Positions from `start` on, a block of them, that stand behind two line breaks."""
    breaks = ids[start - 2 : start + _AT_ONCE] == newline_id
    return np.flatnonzero(breaks[:-2] & breaks[1:-1] & ~breaks[2:]) + start
