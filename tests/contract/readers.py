"""Ways to run a bundle as a server would. No tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from models.bundle import Bundle

Make = Callable[..., Bundle]
"""Writes and loads a random bundle of a cell."""


class Read(NamedTuple):
    """What one row of text came to."""

    scores: np.ndarray
    """Log-probabilities [T, V] behind each of its tokens."""
    state: list[np.ndarray]
    """[H] a state tensor, at the row's own end."""


class Reader:
    """A bundle's two graphs under onnxruntime, straight from the specification."""

    def __init__(self, bundle: Bundle, *, fused: bool = True, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        recurrent, head = bundle.graphs(fused=fused)
        self._recurrent = ort.InferenceSession(recurrent, options)
        self._head = ort.InferenceSession(head, options)
        self._names = [tensor.name for tensor in bundle.manifest.state]
        self._hidden = bundle.manifest.architecture.hidden

    def read(
        self,
        rows: list[np.ndarray],
        states: list[list[np.ndarray]] | None = None,
        padding: int = 0,
    ) -> list[Read]:
        """Read rows side by side in one call, each from its state (zeros if there are none)."""
        zeros = [np.zeros(self._hidden, np.float32) for _ in self._names]
        states = states or [zeros for _ in rows]
        lengths = np.array([len(row) for row in rows], np.int32)
        ids_BT = np.full((len(rows), lengths.max()), padding, np.int64)
        for row, ids in zip(ids_BT, rows, strict=True):
            row[: len(ids)] = ids
        carried = {
            name: np.stack([state[i] for state in states])[None]
            for i, name in enumerate(self._names)
        }
        outputs = ["hidden", *(f"{name}_out" for name in self._names)]
        feeds = {"input_ids": ids_BT, "lengths": lengths, **carried}
        hidden_BTD, *after = self._recurrent.run(outputs, feeds)
        behind = np.arange(lengths.max()) >= lengths[:, None]
        assert not hidden_BTD[behind].any()
        scores = self.score(hidden_BTD[~behind])
        parts = np.split(scores, np.cumsum(lengths)[:-1])
        return [Read(part, [s[0, b] for s in after]) for b, part in enumerate(parts)]

    def score(self, hidden_ND: np.ndarray) -> np.ndarray:
        """Log-probabilities [N, V] of hidden vectors, in one call."""
        feeds = {"hidden": hidden_ND, "k": np.array([3], np.int64)}
        return self._head.run(["log_probs"], feeds)[0]

    def step(self, ids: np.ndarray) -> Read:
        """Read one row token by token, a call each."""
        scores, state = [], None
        for token_id in ids:
            (read,) = self.read([np.array([token_id])], state and [state])
            scores.append(read.scores)
            state = read.state
        assert state is not None
        return Read(np.concatenate(scores), state)


def random_rows(lengths: list[int], vocabulary: int, seed: int = 0) -> list[np.ndarray]:
    """Rows of token ids of the given lengths."""
    chance = np.random.default_rng(seed)
    return [chance.integers(0, vocabulary, length) for length in lengths]
