"""Saving a bundle and reading it back: whole or not at all, and never over another."""

from __future__ import annotations

import hashlib
from collections.abc import ItemsView
from pathlib import Path

import pytest
from pydantic import ValidationError

from models import bundle
from models.errors import (
    BundleExistsError,
    GraphError,
    MissingFileError,
    TokenizerError,
    UnsafePathError,
)
from models.manifest import Graphs
from tests.unit.models import support


def everything_under(folder: Path) -> dict[str, bytes | None]:
    """All paths below a folder, hidden ones too, with the content of the files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_saved_bundle_loads_as_it_was(tmp_path: Path) -> None:
    """Saving and loading gives the same manifest, files, graphs and tokenizer."""
    files = support.files()

    loaded = bundle.load(bundle.save(support.manifest(), files, tmp_path))

    assert files == dict(loaded.files)
    assert (files["recurrent.onnx"], files["head.onnx"]) == loaded.graphs()
    assert support.manifest() == loaded.manifest.model_copy(update={"files": {}})
    assert ("<unk>", "\n", *support.WORDS) == loaded.tokenizer.tokens


def test_a_bundle_lies_under_its_name_and_version(tmp_path: Path) -> None:
    """The folder is `<repository>/<name>/<version>` and holds the files and nothing else."""
    folder = bundle.save(support.manifest(name="n.1", version=12), support.files(), tmp_path)

    assert tmp_path / "n.1" / "12" == folder
    assert {*support.files(), "bundle.json"} == set(everything_under(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["12"]


def test_every_file_is_described(saved: Path) -> None:
    """The manifest on disk holds each file's size and sha256."""
    entries = bundle.load(saved).manifest.files

    for name, content in support.files().items():
        assert len(content) == entries[name].size
        assert hashlib.sha256(content).hexdigest() == entries[name].sha256
    assert set(support.files()) == set(entries)


def test_a_model_is_identified_by_its_manifest(saved: Path, tmp_path: Path) -> None:
    """The identity is the sha256 of bundle.json: the same for a copy, another for other files."""
    identity = bundle.load(saved).sha256
    again = bundle.save(support.manifest(), support.files(), tmp_path / "again")
    other = bundle.save(support.manifest(), support.files(README=b"new"), tmp_path / "other")

    assert hashlib.sha256((saved / "bundle.json").read_bytes()).hexdigest() == identity
    assert identity == bundle.load(again).sha256
    assert identity != bundle.load(other).sha256


def test_what_is_loaded_cannot_be_changed(saved: Path) -> None:
    """A loaded bundle is read-only, its manifest included."""
    loaded = bundle.load(saved)

    with pytest.raises(TypeError):
        loaded.files["head.onnx"] = b""  # type: ignore[index]  # that it fails is the point
    with pytest.raises(ValidationError):
        loaded.manifest.version = 2  # type: ignore[misc]  # that it fails is the point


def test_an_unknown_precision_is_named(saved: Path) -> None:
    """Asking for a precision that is not offered says which ones are."""
    with pytest.raises(GraphError, match="no precision 'int8'; there is float32"):
        bundle.load(saved).graphs("int8")


def test_another_precision_is_checked_and_offered(tmp_path: Path) -> None:
    """A second pair of graphs is found under its own precision, and checked like the first."""
    pair = Graphs(recurrent="r8.onnx", head="head.onnx")
    precisions = support.manifest().precisions | {"int8": pair}
    manifest = support.manifest(precisions=precisions)
    good = support.files() | {"r8.onnx": support.files()["recurrent.onnx"]}

    with pytest.raises(GraphError, match=r"r8\.onnx"):
        bundle.save(manifest, support.files() | {"r8.onnx": b"garbage"}, tmp_path)
    loaded = bundle.load(bundle.save(manifest, good, tmp_path))

    assert (good["r8.onnx"], good["head.onnx"]) == loaded.graphs("int8")


def test_a_version_is_never_overwritten(saved: Path) -> None:
    """Saving over an existing version is refused and leaves it as it was."""
    before = everything_under(saved.parent)

    with pytest.raises(BundleExistsError, match="never overwritten"):
        bundle.save(support.manifest(), support.files(README=b"new"), saved.parent.parent)

    assert before == everything_under(saved.parent)


def test_even_an_empty_folder_is_not_taken_over(tmp_path: Path) -> None:
    """A place that somebody made, with nothing in it yet, is left alone."""
    (tmp_path / "small" / "1").mkdir(parents=True)

    with pytest.raises(BundleExistsError):
        bundle.save(support.manifest(), support.files(), tmp_path)

    assert set(everything_under(tmp_path)) == {"small", "small/1"}


def test_two_versions_stand_side_by_side(saved: Path) -> None:
    """A new version leaves the old one untouched."""
    before = everything_under(saved)

    bundle.save(support.manifest(version=2), support.files(), saved.parent.parent)

    assert before == everything_under(saved)


class _RivalFiles(dict[str, bytes]):
    """Files that take long to save: meanwhile somebody else takes the place."""

    def __init__(self, place: Path) -> None:
        super().__init__(support.files())
        self._place = place

    def items(self) -> ItemsView[str, bytes]:
        self._place.mkdir(parents=True, exist_ok=True)
        (self._place / "theirs").write_bytes(b"x")
        return super().items()


def test_the_loser_of_a_race_changes_nothing(tmp_path: Path) -> None:
    """Where another saves the same version first, the second is refused and leaves no trace."""
    place = tmp_path / "small" / "1"

    with pytest.raises(BundleExistsError):
        bundle.save(support.manifest(), _RivalFiles(place), tmp_path)

    assert everything_under(tmp_path) == {"small": None, "small/1": None, "small/1/theirs": b"x"}


FAILING = {
    "a broken graph": ({"head.onnx": b"garbage"}, GraphError),
    "a foreign tokenizer": ({"tokenizer.json": b"{}"}, TokenizerError),
    "a name that leads out": ({"../out.txt": b""}, UnsafePathError),
    "the manifest's own name": ({"bundle.json": b""}, UnsafePathError),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_failed_save_leaves_no_file(tmp_path: Path, case: str) -> None:
    """A bundle that does not pass its own checks leaves no file, hidden ones included."""
    changed, expected = FAILING[case]

    with pytest.raises(expected):
        bundle.save(support.manifest(), support.files() | changed, tmp_path / "repository")

    assert {
        name: content for name, content in everything_under(tmp_path).items() if content is not None
    } == {}
    assert list((tmp_path / "repository").glob("*/*")) == []


def test_a_failed_save_leaves_no_folder(tmp_path: Path) -> None:
    """Not even an empty folder of the model's name stays behind."""
    with pytest.raises(GraphError):
        bundle.save(support.manifest(), support.files(head=b"garbage"), tmp_path)

    assert everything_under(tmp_path) == {}


def test_a_failed_save_leaves_the_other_versions(saved: Path) -> None:
    """A new version that fails takes nothing from those that are there."""
    files = support.files()
    del files["head.onnx"]
    before = everything_under(saved.parent.parent)

    with pytest.raises(MissingFileError, match=r"lists no head\.onnx"):
        bundle.save(support.manifest(version=2), files, saved.parent.parent)

    assert before == everything_under(saved.parent.parent)
