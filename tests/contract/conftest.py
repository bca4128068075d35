"""Bundles of every cell, written by the training side and read back through the one door."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import bundle
from models.bundle import Bundle
from tests.contract.readers import Make
from training.config import ModelConfig, Storage
from training.export import Packing
from training.random_bundle import write_random_bundle


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Write a random bundle of a cell, its weights as float32 or as said, and load it."""

    def write(cell: str, storage: Storage = "float32", **sizes: object) -> Bundle:
        shape = {"embedding": 24, "hidden": 40, "vocabulary": 130} | sizes
        config = ModelConfig(cell=cell, **shape)
        root: Path = tmp_path_factory.mktemp("contract")
        return bundle.load(write_random_bundle(config, 1, cell, 1, root, Packing(storage)))

    return write
