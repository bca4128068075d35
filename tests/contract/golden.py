"""TensorFlow's own outputs, as files in tests/data/tensorflow. No tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(__file__).parents[1] / "data" / "tensorflow"
CELLS = {
    "simple_rnn_tanh": "rnn_tanh",
    "simple_rnn_relu": "rnn_relu",
    "lstm": "lstm",
    "peephole_lstm": "peephole_lstm",
    "gru_reset_after": "gru",
    "gru_reset_before": "gru_reset_before",
}
"""The project's name of the cell that each file is of."""
OPTIONS = {
    "simple_rnn_tanh": ("--cell", "simple_rnn"),
    "simple_rnn_relu": ("--cell", "simple_rnn", "--activation", "relu"),
    "lstm": ("--cell", "lstm"),
    "peephole_lstm": ("--cell", "peephole_lstm"),
    "gru_reset_after": ("--cell", "gru"),
    "gru_reset_before": ("--cell", "gru"),
}
"""What `import-keras` is told of it."""


class Outputs(NamedTuple):
    """What a layer came to."""

    y_TBH: np.ndarray
    state: Sequence[np.ndarray]
    """Behind the last step: h [B, H], and c."""

    def distance(self, other: Outputs) -> float:
        """The largest difference anywhere; infinite where there is something that is no number."""
        pairs = zip((self.y_TBH, *self.state), (other.y_TBH, *other.state), strict=True)
        worst = max(float(np.abs(a - b).max()) for a, b in pairs)
        return worst if np.isfinite(worst) else float("inf")


class Golden(NamedTuple):
    """One file."""

    name: str
    x_TBI: np.ndarray
    state: Sequence[np.ndarray]
    outputs: Outputs
    weights: dict[str, np.ndarray]
    """By Keras' names: kernel, recurrent_kernel, bias .."""


def read_golden(name: str) -> Golden:
    """Read a file; steps come first, as they do in this project."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        arrays = dict(file)
    parts = "hc" if "c0" in arrays else "h"
    weights = {key[2:]: array for key, array in arrays.items() if key.startswith("w_")}
    last = [arrays[f"{part}T"] for part in parts]
    return Golden(
        name,
        arrays["x"].transpose(1, 0, 2),
        [arrays[f"{part}0"] for part in parts],
        Outputs(arrays["y"].transpose(1, 0, 2), last),
        weights,
    )
