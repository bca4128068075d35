"""A bundle of a given size with random weights, for benchmarks and tests.

Must not know: corpora, optimisers.
"""

from __future__ import annotations

from pathlib import Path

import torch

from models.manifest import Provenance
from models.text import Tokenizer
from models.words import CONTROL_TOKENS
from training.config import ModelConfig
from training.export import DEFAULT_PACKING, Packing, describe, write_bundle
from training.model import LanguageModel


def write_random_bundle(
    config: ModelConfig,
    seed: int,
    name: str,
    version: int,
    repository: Path,
    packing: Packing = DEFAULT_PACKING,
) -> Path:
    """Write a bundle with seeded weights whose words are w0, w1, ..; returns its folder."""
    torch.manual_seed(seed)
    model = LanguageModel(config)
    words = [f"w{i}" for i in range(config.vocabulary - len(CONTROL_TOKENS))]
    provenance = Provenance(
        recipe="random", corpus="none", corpus_sha256="", steps=0, metrics={"seed": seed}
    )
    manifest = describe(model, name, version, provenance)
    tokenizer = Tokenizer.from_tokens(words, "pretokenised")
    return write_bundle(model, tokenizer, manifest, repository, packing)
