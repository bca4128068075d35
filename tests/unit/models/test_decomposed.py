"""The second recurrent graph that a bundle may have: offered, and held to all the same rules."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from models import bundle
from models.errors import (
    AlteredFileError,
    BundleFormatError,
    GraphError,
    MissingFileError,
    UnsafePathError,
)
from models.manifest import Graphs, Manifest
from tests.unit.models import support
from tests.unit.models.vandals import (
    Case,
    Spoil,
    assert_refused,
    drop,
    edit,
    flip,
    put_shape,
    remove,
    truncate,
)

NAME = "recurrent.decomposed.onnx"
CONTENT = support.recurrent_graph(spoil=lambda model: setattr(model, "doc_string", "decomposed"))


def described(name: str = NAME) -> Manifest:
    """The small model's manifest with a decomposed graph."""
    graphs = Graphs(recurrent="recurrent.onnx", head="head.onnx", decomposed=name)
    return support.manifest(precisions={"float32": graphs})


def files(content: bytes = CONTENT) -> dict[str, bytes]:
    """The small bundle's files, the decomposed graph among them."""
    return support.files() | {NAME: content}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The folder of a good bundle that has both forms."""
    return bundle.save(described(), files(), tmp_path / "repository")


def test_it_is_offered_to_who_cannot_use_the_fused_one(saved: Path) -> None:
    """The same head goes with either form."""
    loaded = bundle.load(saved)

    assert (files()["recurrent.onnx"], files()["head.onnx"]) == loaded.graphs()
    assert (CONTENT, files()["head.onnx"]) == loaded.graphs(fused=False)


def test_a_bundle_without_one_offers_the_one_it_has(tmp_path: Path) -> None:
    """It may be left out, and bundles that were written before there were any load."""
    loaded = bundle.load(bundle.save(support.manifest(), support.files(), tmp_path))

    assert loaded.graphs() == loaded.graphs(fused=False)


def test_a_manifest_of_before_is_read(saved: Path) -> None:
    """Neither `decomposed` nor `normalization` needs to stand in bundle.json."""
    drop("precisions", "float32", "decomposed")(saved)
    drop("architecture", "normalization")(saved)

    loaded = bundle.load(saved)

    assert loaded.manifest.precisions["float32"].decomposed is None
    assert loaded.manifest.architecture.normalization == "none"


def name_it(name: object) -> Spoil:
    """Write another name into the manifest."""
    return edit(lambda m: m["precisions"]["float32"].update(decomposed=name))


def reseal(content: bytes) -> Spoil:
    """Put another graph in its place, with a hash that fits."""

    def spoil(folder: Path) -> None:
        (folder / NAME).write_bytes(content)
        seal = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        edit(lambda m: m["files"].update({NAME: seal}))(folder)

    return spoil


CASES: dict[str, Case] = {
    "the file is missing": (remove(NAME), MissingFileError, f"{NAME} is missing"),
    "the file is not listed": (drop("files", NAME), MissingFileError, f"lists no {NAME}"),
    "another file is named": (name_it("other.onnx"), MissingFileError, "lists no other.onnx"),
    "a path is named": (name_it("../x.onnx"), UnsafePathError, "'../x.onnx' is not the plain name"),
    "a number is named": (name_it(3), BundleFormatError, "precisions.float32.decomposed"),
    "the file is altered": (flip(NAME), AlteredFileError, f"{NAME} is not the file"),
    "the file is cut short": (truncate(NAME), AlteredFileError, f"{NAME} has"),
    "garbage": (reseal(b"not a graph"), GraphError, f"{NAME} is not an ONNX file"),
    "another hidden size": (
        reseal(support.recurrent_graph(hidden=4)),
        GraphError,
        f"{NAME}: input h_0 has the shape (1, None, 4), not (1, None, 3)",
    ),
    "a head": (reseal(support.head_graph()), GraphError, f"{NAME} has the inputs ['hidden', 'k']"),
    "a normalisation that no graph has": (
        put_shape(normalization="batch"),
        BundleFormatError,
        "architecture.normalization",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_one_is_refused(saved: Path, case: str) -> None:
    """Each fault gets the error for it, which names the file."""
    assert_refused(saved, CASES[case])


def test_a_bundle_that_lacks_its_own_is_not_saved(tmp_path: Path) -> None:
    """What is named must be there when it is written."""
    with pytest.raises(MissingFileError, match=f"lists no {NAME}"):
        bundle.save(described(), support.files(), tmp_path)

    assert [] == list(tmp_path.iterdir())
