"""Ways to spoil a bundle's folder, each a function of the folder. No tests."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from models import bundle
from models.errors import BundleError
from tests.unit.models import support

Spoil = Callable[[Path], object]
Case = tuple[Spoil, type[BundleError], str]
"""How to spoil a good bundle, the error that must come, and what its sentence must say."""


def assert_refused(folder: Path, case: Case) -> None:
    """Spoil the bundle and see it refused with exactly the error and the words of the case."""
    spoil, expected, words = case
    spoil(folder)
    with pytest.raises(BundleError) as refused:
        bundle.load(folder)
    assert words in str(refused.value)
    assert expected is type(refused.value)


def flip(name: str) -> Spoil:
    """Turn over one bit in the middle of a file."""

    def spoil(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return spoil


def truncate(name: str) -> Spoil:
    """Cut off a file's last byte."""
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - 1)


def remove(name: str) -> Spoil:
    """Take a file away."""
    return lambda folder: (folder / name).unlink()


def write_manifest(content: bytes) -> Spoil:
    """Put something else in bundle.json's place."""
    return lambda folder: (folder / "bundle.json").write_bytes(content)


def edit(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Change bundle.json's values in place."""

    def spoil(folder: Path) -> None:
        described = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        change(described)
        (folder / "bundle.json").write_text(json.dumps(described), encoding="utf-8")

    return spoil


def put(**values: Any) -> Spoil:
    """Set keys of bundle.json."""
    return edit(lambda described: described.update(values))


def put_shape(**values: Any) -> Spoil:
    """Set keys of bundle.json's architecture."""
    return edit(lambda described: described["architecture"].update(values))


def drop(*path: str) -> Spoil:
    """Take a key out of bundle.json, named by the keys that lead to it."""

    def change(described: dict[str, Any]) -> None:
        for key in path[:-1]:
            described = described[key]
        del described[path[-1]]

    return edit(change)


def reseal(**contents: bytes) -> Spoil:
    """Put other files in with hashes that fit, so that only their content is wrong."""

    def spoil(folder: Path) -> None:
        for name, content in support.files(**contents).items():
            (folder / name).write_bytes(content)
            seal = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            edit(lambda m, name=name, seal=seal: m["files"].update({name: seal}))(folder)

    return spoil


def external(name: str, location: str) -> TensorProto:
    """A weight that lies in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return tensor
