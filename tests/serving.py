"""Small models to serve in tests: random weights, real words, real graphs."""

from __future__ import annotations

from pathlib import Path

import torch

from models.manifest import Provenance
from models.text import Tokenizer
from training.config import Cell, ModelConfig
from training.export import describe, write_bundle
from training.model import LanguageModel

PROVENANCE = Provenance(recipe="random", corpus="none", corpus_sha256="", steps=0)


def write_talker(
    repository: Path, corpus: Path, *, name: str = "talker", version: int = 1, cell: Cell = "lstm"
) -> Path:
    """Write a bundle with the tiny corpus's natural vocabulary and seeded random weights."""
    torch.manual_seed(version)
    lines = (corpus / "train.txt").read_text(encoding="utf-8").split("\n")
    tokenizer = Tokenizer.train(lines, 34, "natural")
    config = ModelConfig(cell=cell, embedding=8, hidden=16, vocabulary=34, layers=2)
    model = LanguageModel(config)
    manifest = describe(model, name, version, PROVENANCE)
    return write_bundle(model, tokenizer, manifest, repository)
