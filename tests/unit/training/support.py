"""Small configurations, models and corpora. No tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from training.config import ModelConfig, RunConfig
from training.loop import Stepper
from training.model import LanguageModel

SENTENCES = ("the cat sat on the mat .", "a dog ran to the park .", "the bird sang in a tree .")
VOCABULARY = 17
SIZES = ["--layers", "1", "--embedding", "4", "--hidden", "6", "--vocabulary", "12"]
"""A small model, for the command line."""

Say = Callable[..., tuple[int, str, str]]
"""Runs a command; its exit status, output and errors."""


def run_config(**changes: Any) -> RunConfig:
    """A run of 20 steps or so over `write_corpus`, of some tenths of a second."""
    values = {
        "cell": "gru",
        "embedding": 8,
        "hidden": 12,
        "vocabulary": VOCABULARY,
        "batch": 4,
        "bptt": 10,
        "epochs": 2.0,
        "learning_rate": 0.05,
        "validations": 4,
        "threads": 1,
        "device": "cpu",
    }
    return RunConfig(**(values | changes))


def fresh_model(seed: int = 0, **changes: Any) -> LanguageModel:
    """A small model with seeded weights, its biases away from zero too."""
    values = {"cell": "lstm", "embedding": 5, "hidden": 7, "vocabulary": 11}
    torch.manual_seed(seed)
    model = LanguageModel(ModelConfig(**(values | changes)))
    with torch.no_grad():
        model.output_bias.normal_()
    return model


def write_corpus(folder: Path, *, lines: int = 60, seed: int = 3) -> Path:
    """A corpus folder of sentences in a random order, its test text included; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    for split, count in {"train": lines, "valid": 12, "test": 6}.items():
        text = "".join(f"{chance.choice(SENTENCES)}\n" for _ in range(count))
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    return folder


def random_ids(*shape: int, vocabulary: int = 11, seed: int = 0) -> torch.Tensor:
    """Token ids of any shape."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, vocabulary, shape))


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    text = (run / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def before_step(step: int, do: Callable[[Stepper], object]) -> Iterator[None]:
    """Something happens as a run within comes to this step."""
    take = Stepper.step

    def disturbed(self: Stepper, index: int, *window: torch.Tensor) -> float:
        if index == step:
            do(self)
        return take(self, index, *window)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "step", disturbed)
        yield


def press_ctrl_c(_: Stepper) -> None:
    """What the terminal does on Ctrl-C."""
    raise KeyboardInterrupt


def blow_up(stepper: Stepper) -> None:
    """Make a weight infinite."""
    with torch.no_grad():
        stepper.model.output_bias[0] = float("inf")


class TableScorer:
    """A model that looks only at the last token: row i of a table scores what follows token i."""

    def __init__(self, log_probs_VV: np.ndarray) -> None:
        self._table = log_probs_VV

    def initial_state(self, batch: int) -> list[np.ndarray]:
        """There is nothing to remember."""
        return [np.zeros((1, batch, 1), np.float32)]

    def read(
        self, ids_BT: np.ndarray, lengths_B: np.ndarray, state: list[np.ndarray]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """The token itself, as one hot of V."""
        return np.eye(len(self._table), dtype=np.float32)[ids_BT], state

    def log_probs(self, hidden_ND: np.ndarray) -> np.ndarray:
        """The token's row."""
        return self._table[hidden_ND.argmax(-1)]
