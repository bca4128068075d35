"""A Keras model's files, written for tests. No tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import bundle
from models.bundle import Bundle
from training.errors import WeightsError
from training.export import Packing
from training.import_keras import Activation, KerasModel, import_keras
from training.keras_arrays import GATES, PEEPHOLES, KerasCell

Arrays = dict[str, np.ndarray]
INPUTS, HIDDEN = 4, 5
WORDS = ["the", "cat", "sat", "on", "a", "mat"]
ROWS = len(WORDS) + 2
CELLS: dict[str, tuple[KerasCell, Activation]] = {
    "rnn_tanh": ("simple_rnn", "tanh"),
    "rnn_relu": ("simple_rnn", "relu"),
    "lstm": ("lstm", "tanh"),
    "peephole_lstm": ("peephole_lstm", "tanh"),
    "gru": ("gru", "tanh"),
    "gru_reset_before": ("gru", "tanh"),
}
"""Keras' name of each cell, and its activation."""


def keras_arrays(cell: str = "lstm", layers: int = 1, rows: int = ROWS) -> Arrays:
    """A Keras model's arrays, in Keras' own layout."""
    chance = np.random.default_rng(1)

    def array(*shape: int) -> np.ndarray:
        return chance.normal(size=shape, scale=0.5).astype(np.float32)

    keras, _ = CELLS[cell]
    sums = len(GATES[keras]) * HIDDEN
    arrays = {"embedding": array(rows, INPUTS)}
    for number in range(layers):
        layer = f"layer{number}"
        arrays[f"{layer}.kernel"] = array(HIDDEN if number else INPUTS, sums)
        arrays[f"{layer}.recurrent_kernel"] = array(HIDDEN, sums)
        arrays[f"{layer}.bias"] = array(2, sums) if cell == "gru" else array(sums)
        if cell == "peephole_lstm":
            arrays |= {f"{layer}.{part}": array(HIDDEN) for part in PEEPHOLES}
    return arrays | {"dense.kernel": array(HIDDEN, rows), "dense.bias": array(rows)}


def bring(
    folder: Path, cell: str, arrays: Arrays, lines: list[str], packing: Packing | None = None
) -> Bundle:
    """Write the two files, import them, and read the bundle."""
    np.savez(folder / "weights.npz", **arrays)
    (folder / "words.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    keras, activation = CELLS[cell]
    source = KerasModel(folder / "weights.npz", folder / "words.txt", keras, activation)
    return bundle.load(import_keras(source, folder, "m", 1, packing or Packing()))


def assert_refused(folder: Path, words: str, keras: str = "lstm", storage: Any = "float32") -> None:
    """Import from this folder and see it refused in so many words, in one line."""
    if not (folder / "words.txt").exists():
        (folder / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    source = KerasModel(folder / "weights.npz", folder / "words.txt", keras)
    with pytest.raises(WeightsError) as refused:
        import_keras(source, folder / "repository", "m", 1, Packing(storage=storage))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (folder / "repository").exists()
