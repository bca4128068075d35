"""Hostile bundles whose `bundle.json` breaks the format, or contradicts the tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import bundle
from models.errors import BundleFormatError, NewerFormatError, TokenizerError
from models.text import Tokenizer
from tests.unit.models.support import WORDS
from tests.unit.models.vandals import (
    Case,
    assert_refused,
    drop,
    edit,
    put,
    put_shape,
    remove,
    reseal,
    write_manifest,
)


def folder_as_manifest(folder: Path) -> None:
    """Put a folder in bundle.json's place."""
    (folder / "bundle.json").unlink()
    (folder / "bundle.json").mkdir()


def list_twice(folder: Path) -> None:
    """Give head.onnx a second, contradicting entry."""
    text = (folder / "bundle.json").read_text(encoding="utf-8")
    second = f'"files": {{"head.onnx": {{"size": 1, "sha256": "{"0" * 64}"}},'
    (folder / "bundle.json").write_text(text.replace('"files": {', second, 1), encoding="utf-8")


def tokenizer(words: list[str]) -> bytes:
    """A good tokenizer of these words."""
    return Tokenizer.from_tokens(words, "natural").to_json().encode()


CASES: dict[str, Case] = {
    "none": (remove("bundle.json"), BundleFormatError, "it has no bundle.json"),
    "a folder": (folder_as_manifest, BundleFormatError, "bundle.json"),
    "empty": (write_manifest(b""), BundleFormatError, "bundle.json is not JSON"),
    "not JSON": (write_manifest(b"{"), BundleFormatError, "bundle.json is not JSON"),
    "not UTF-8": (write_manifest(b'"\xff"'), BundleFormatError, "bundle.json is not JSON"),
    "nested too deep": (write_manifest(b"[" * 10**5), BundleFormatError, "bundle.json"),
    "a list": (write_manifest(b"[]"), BundleFormatError, "names no format_version"),
    "no version": (drop("format_version"), BundleFormatError, "names no format_version"),
    "a text as version": (put(format_version="1"), BundleFormatError, "names no format_version"),
    "a fraction as version": (put(format_version=1.0), BundleFormatError, "format_version"),
    "a truth value as version": (put(format_version=True), BundleFormatError, "format_version"),
    "a text as truth value": (put(batch_invariant="no"), BundleFormatError, "batch_invariant"),
    "a number as text": (put(features="3"), BundleFormatError, "features"),
    "an older version": (put(format_version=0), BundleFormatError, "format_version"),
    "a newer version": (put(format_version=2), NewerFormatError, "format_version 2 is newer"),
    "a newer version with other keys": (
        write_manifest(b'{"format_version": 9, "new": {}}'),
        NewerFormatError,
        "format_version 9 is newer than 1",
    ),
    "an unknown key": (put(colour="red"), BundleFormatError, "bundle.json: colour:"),
    "an unknown inner key": (put_shape(colour="red"), BundleFormatError, "architecture.colour"),
    "a missing key": (drop("provenance"), BundleFormatError, "provenance: Field required"),
    "a hash that is none": (
        edit(lambda m: m["files"]["head.onnx"].update(sha256="ABC")),
        BundleFormatError,
        "files.head.onnx.sha256",
    ),
    "a size below nothing": (
        edit(lambda m: m["files"]["head.onnx"].update(size=-1)),
        BundleFormatError,
        "files.head.onnx.size",
    ),
    "a file listed twice": (list_twice, BundleFormatError, "head.onnx"),
    "no layers": (put_shape(layers=0), BundleFormatError, "architecture.layers"),
    "no state": (put(state=[]), BundleFormatError, "bundle.json: state"),
    "version nought": (put(version=0), BundleFormatError, "bundle.json: version"),
    "a name that is a path": (put(name="../small"), BundleFormatError, "bundle.json: name"),
    "no precision": (put(precisions={}), BundleFormatError, "precisions lack 'float32'"),
    "a state of another width": (
        put(state=[{"name": "h_0", "shape": [1, "B", 4]}]),
        BundleFormatError,
        "state h_0 is not [1, B, hidden]",
    ),
    "a state of doubles": (
        put(state=[{"name": "h_0", "shape": [1, "B", 3], "dtype": "float64"}]),
        BundleFormatError,
        "state.0.dtype",
    ),
    "a tokenizer of another size": (
        reseal(tokenizer=tokenizer(WORDS[1:])),
        TokenizerError,
        "tokenizer.json has 5 tokens, the model's vocabulary 6",
    ),
    "a tokenizer that is none": (
        reseal(tokenizer=b"{}"),
        TokenizerError,
        "not a tokenizers file",
    ),
    "a tokenizer that is not UTF-8": (
        reseal(tokenizer=b"\xff"),
        TokenizerError,
        "tokenizer.json is not UTF-8",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_with_a_bad_manifest_is_refused(saved: Path, case: str) -> None:
    """Each fault in bundle.json gets the error for it, which names the place."""
    assert_refused(saved, CASES[case])


def test_a_folder_that_is_not_there_is_no_bundle(tmp_path: Path) -> None:
    """Loading from a place without a folder says that there is no bundle."""
    with pytest.raises(BundleFormatError, match="missing is not a bundle"):
        bundle.load(tmp_path / "missing")


def test_a_file_is_no_bundle(saved: Path) -> None:
    """Loading from a plain file says that it is not a bundle."""
    with pytest.raises(BundleFormatError, match=r"README\.md is not a bundle"):
        bundle.load(saved / "README.md")
