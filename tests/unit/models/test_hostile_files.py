"""Hostile bundles whose files are missing, altered, or somewhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import bundle
from models.errors import AlteredFileError, BundleError, MissingFileError, UnsafePathError
from tests.unit.models.vandals import (
    Case,
    Spoil,
    assert_refused,
    drop,
    edit,
    flip,
    remove,
    reseal,
    truncate,
)

FILES = ("README.md", "head.onnx", "recurrent.onnx", "tokenizer.json")
UNSAFE = ("../x", "/etc/passwd", "a/b", "a\\b", "..", ".", ".hidden", "", "x\n", "bundle.json")


def list_as(name: str) -> Spoil:
    """List the model card once more under another name."""
    return edit(lambda m: m["files"].update({name: m["files"]["README.md"]}))


def link(target: str) -> Spoil:
    """Move the model card beside the bundle and leave a link in its place."""

    def spoil(folder: Path) -> None:
        (folder.parent / "elsewhere").mkdir()
        (folder / "README.md").rename(folder.parent / "elsewhere" / "README.md")
        (folder / "README.md").symlink_to(target)

    return spoil


def folder_instead(folder: Path) -> None:
    """Put a folder in the model card's place, of the very size that is listed."""
    (folder / "README.md").unlink()
    (folder / "README.md").mkdir()
    size = (folder / "README.md").stat().st_size
    edit(lambda m: m["files"]["README.md"].update(size=size))(folder)


def pipe_instead(folder: Path) -> None:
    """Put a named pipe in the model card's place, which nobody ever writes to."""
    (folder / "README.md").unlink()
    os.mkfifo(folder / "README.md")


def manifest_elsewhere(folder: Path) -> None:
    """Move the manifest out of the folder and leave a link to it."""
    (folder / "bundle.json").rename(folder.parent / "bundle.json")
    (folder / "bundle.json").symlink_to(folder.parent / "bundle.json")


CASES: dict[str, Case] = {
    "a pipe": (pipe_instead, UnsafePathError, "README.md is no regular file"),
    "a manifest elsewhere": (manifest_elsewhere, UnsafePathError, "bundle.json is a link that"),
    **{f"{n} altered": (flip(n), AlteredFileError, f"{n} is not the file") for n in FILES},
    **{f"{n} cut short": (truncate(n), AlteredFileError, f"{n} has ") for n in FILES},
    **{f"{n} removed": (remove(n), MissingFileError, f"{n} is missing from") for n in FILES},
    "a folder in a file's place": (
        folder_instead,
        MissingFileError,
        "README.md cannot be read: Is a directory",
    ),
    "a graph that is not listed": (
        drop("files", "head.onnx"),
        MissingFileError,
        "lists no head.onnx",
    ),
    "a tokenizer that is not listed": (
        drop("files", "tokenizer.json"),
        MissingFileError,
        "lists no tokenizer.json",
    ),
    **{f"a file listed as {n!r}": (list_as(n), UnsafePathError, repr(n)) for n in UNSAFE},
    "a graph named by a path": (
        edit(lambda m: m["precisions"]["float32"].update(head="../head.onnx")),
        UnsafePathError,
        "'../head.onnx'",
    ),
    "a link that leads outside": (
        link("../elsewhere/README.md"),
        UnsafePathError,
        "README.md is a link that leads out",
    ),
    "a link that leads nowhere": (
        link("/nowhere/README.md"),
        UnsafePathError,
        "README.md is a link that leads out",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_with_a_bad_file_is_refused(saved: Path, case: str) -> None:
    """Each fault in a bundle's files gets the error for it, which names the file."""
    assert_refused(saved, CASES[case])


def test_a_link_in_a_circle_is_refused(saved: Path) -> None:
    """A file that is a link to itself is refused with a BundleError that names it."""
    (saved / "README.md").unlink()
    (saved / "README.md").symlink_to("README.md")

    with pytest.raises(BundleError, match=r"README\.md"):
        bundle.load(saved)


def test_a_link_within_the_folder_is_followed(saved: Path) -> None:
    """A link to another file of the same folder is no danger and is read as that file."""
    (saved / "README.md").rename(saved / "card.txt")
    (saved / "README.md").symlink_to("card.txt")

    assert bundle.load(saved).files["README.md"] == b"# small\n"


def test_a_file_that_is_not_listed_is_ignored(saved: Path) -> None:
    """What lies in the folder without being listed is neither read nor in the way."""
    (saved / "notes.txt").write_text("mine")

    assert "notes.txt" not in bundle.load(saved).files


def test_the_bundle_that_the_hostile_ones_are_made_from_is_good(saved: Path) -> None:
    """Resealing without a change leaves a bundle that loads, so each fault stands alone."""
    reseal()(saved)

    assert bundle.load(saved).manifest.name == "small"
