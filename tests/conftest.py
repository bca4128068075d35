"""What all tests share: the tiny corpus, a small model, property tests that run alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.serving import write_talker

# The same examples on every machine, however slow, and no folder of past ones.
settings.register_profile("nextword", deadline=None, derandomize=True, database=None)
settings.load_profile("nextword")


@pytest.fixture(scope="session")
def tiny_corpus() -> Path:
    """The folder of the generated corpus that `tests/data/make_tiny.py` wrote."""
    return Path(__file__).parent / "data" / "tiny"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path) -> Path:
    """A repository with one small model of random weights, in two versions."""
    folder = tmp_path_factory.mktemp("models")
    for version in (1, 2):
        write_talker(folder, tiny_corpus, version=version)
    return folder
