"""Which engine serves a model, also when its folder changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.errors import UnknownModelError, UnknownVersionError
from service.engine.fleet import Fleet
from service.settings import read_settings
from tests.serving import write_talker


@pytest.fixture
def folder(tmp_path: Path, tiny_corpus: Path) -> Path:
    """A repository of its own, with one version."""
    write_talker(tmp_path, tiny_corpus)
    return tmp_path


async def test_a_newer_version_is_found_by_the_next_look(folder: Path, tiny_corpus: Path) -> None:
    """Until then, and whatever is asked for by version, nothing changes."""
    fleet = Fleet(read_settings({"NEXTWORD_MODELS": str(folder)}))
    await fleet.start()
    write_talker(folder, tiny_corpus, version=2)
    assert 1 == (await fleet.engine()).manifest.version
    await fleet.refresh()
    assert 2 == (await fleet.engine()).manifest.version
    assert 1 == (await fleet.engine("talker", 1)).manifest.version
    await fleet.stop()


async def test_a_broken_newer_version_does_not_end_the_service(folder: Path) -> None:
    """The version that is there goes on serving; asking for the broken one says what it is."""
    fleet = Fleet(read_settings({"NEXTWORD_MODELS": str(folder)}))
    await fleet.start()
    shutil.copytree(folder / "talker" / "1", folder / "talker" / "2")
    (folder / "talker" / "2" / "head.onnx").unlink()
    await fleet.refresh()
    assert 1 == (await fleet.engine()).manifest.version
    await fleet.stop()


async def test_a_loaded_version_outlives_its_folder(folder: Path) -> None:
    """Sessions on it go on; only what was never loaded is unknown."""
    fleet = Fleet(read_settings({"NEXTWORD_MODELS": str(folder)}))
    await fleet.start()
    shutil.rmtree(folder / "talker" / "1")
    assert 1 == (await fleet.engine("talker", 1)).manifest.version
    with pytest.raises((UnknownModelError, UnknownVersionError)):
        await fleet.engine("talker", 7)
    await fleet.stop()
