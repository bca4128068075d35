"""A saved small bundle, fresh for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import bundle
from tests.unit.models import support


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a good bundle, `<tmp>/repository/small/1`."""
    return bundle.save(support.manifest(), support.files(), tmp_path / "repository")
