"""Small models, written as bundles and read back. No tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import bundle
from models.manifest import Manifest, Provenance
from models.text import Tokenizer
from training.export import Packing, describe, write_bundle
from training.model import LanguageModel
from training.scorer import OnnxScorer, TorchScorer

WORDS = Tokenizer.from_tokens([f"w{n}" for n in range(9)], "pretokenised")
SHAPES = [(1, True), (1, False), (2, True), (2, False)]


def manifest(model: LanguageModel, name: str = "m", version: int = 1) -> Manifest:
    """The manifest of a model that was never trained."""
    return describe(
        model, name, version, Provenance(recipe="r", corpus="c", corpus_sha256="", steps=0)
    )


def export(model: LanguageModel, repository: Path, **packing: Any) -> bundle.Bundle:
    """Write a model's bundle and read it back."""
    packed = write_bundle(model, WORDS, manifest(model), repository, Packing(**packing))
    return bundle.load(packed)


def scores(scorer: OnnxScorer | TorchScorer) -> list[np.ndarray]:
    """Log-probabilities and states over three stateful calls with rows of different lengths."""
    chance, state, found = np.random.default_rng(5), scorer.initial_state(4), []
    for lengths in ([3, 1, 6, 2], [1, 1, 1, 1], [8, 5, 1, 3]):
        ids_BT = chance.integers(0, 11, (4, max(lengths)))
        lengths_B = np.array(lengths, np.int32)
        hidden_BTD, state = scorer.read(ids_BT, lengths_B, state)
        read = np.arange(max(lengths)) < lengths_B[:, None]
        assert not hidden_BTD[~read].any()
        found += [scorer.log_probs(hidden_BTD[read]), *state]
    return found
