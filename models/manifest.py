"""`bundle.json`: its schema, and reading it from its text.

Must not know: other files of a bundle, disks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.cache import ModelCache
from models.errors import (
    BundleFormatError,
    MissingFileError,
    NewerFormatError,
    UnsafePathError,
)

FORMAT_VERSION = 1
MANIFEST_FILE = "bundle.json"
TOKENIZER_FILE = "tokenizer.json"
CARD_FILE = "README.md"
DEFAULT_PRECISION = "float32"

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_Count = Annotated[int, Field(ge=1)]
_ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Architecture(_Strict):
    """The shape of the network."""

    cell: str
    layers: _Count
    hidden: _Count
    embedding: _Count
    vocabulary: _Count
    tied: bool
    normalization: Literal["none", "layer"] = "none"


class StateTensor(_Strict):
    """One tensor of the recurrent state; `B` in its shape stands for the batch."""

    name: str
    shape: tuple[int | Literal["B"], ...]
    dtype: Literal["float32"] = "float32"


class Graphs(_Strict):
    """The graph files of one precision."""

    recurrent: str
    head: str
    decomposed: str | None = None
    """The recurrent graph in basic operators, where fused kernels refuse the cell (CUDA) or give
    other bits in other batches (RNN)."""

    def files(self) -> tuple[str, ...]:
        """The names of all of them."""
        return tuple(name for name in (self.recurrent, self.head, self.decomposed) if name)


class FileEntry(_Strict):
    """What a file of the bundle must be."""

    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Provenance(_Strict):
    """Where the weights come from."""

    recipe: str
    corpus: str
    corpus_sha256: str
    steps: Annotated[int, Field(ge=0)]
    metrics: dict[str, float] = Field(default_factory=dict)
    licence: str = ""


class Manifest(_Strict):
    """`bundle.json`: what the model is, and every file that belongs to it."""

    format_version: Literal[1] = 1
    name: _ModelName
    version: _Count
    architecture: Architecture
    features: _Count
    """D, the width of `hidden` between the two graphs."""
    state: Annotated[tuple[StateTensor, ...], Field(min_length=1)]
    batch_invariant: bool
    """Whether the default precision's graphs answer bit for bit the same in any batch; where they
    do not, its decomposed one does."""
    cache: ModelCache | None = None
    precisions: dict[str, Graphs]
    files: dict[str, FileEntry] = Field(default_factory=dict)
    provenance: Provenance


def parse_manifest(text: bytes) -> Manifest:
    """Read and check a manifest.

    Raises NewerFormatError, BundleFormatError, UnsafePathError, or MissingFileError where a file
    that is needed is not listed.
    """
    try:
        values: Any = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise BundleFormatError(f"{MANIFEST_FILE} is not JSON: {error}") from error
    if not isinstance(values, dict) or type(values.get("format_version")) is not int:
        raise BundleFormatError(f"{MANIFEST_FILE} names no format_version")
    if values["format_version"] > FORMAT_VERSION:
        raise NewerFormatError(
            f"format_version {values['format_version']} is newer than {FORMAT_VERSION}, the "
            "newest this nextword reads: update nextword"
        )
    manifest = check_manifest(values)
    for name in manifest.files:
        check_name(name)
    _check_names(manifest)
    return manifest


def check_manifest(values: Mapping[str, Any]) -> Manifest:
    """Turn plain values into a Manifest; BundleFormatError names the first that is wrong."""
    try:
        return Manifest.model_validate_json(json.dumps(values))  # JSON knows no tuples
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BundleFormatError(f"{MANIFEST_FILE}: {place}: {first['msg']}") from error


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, unless it names something twice: readers would disagree on which counts."""
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twin!r} stands twice")
    return values


def _check_names(manifest: Manifest) -> None:
    """Every file that is needed must be listed with its hash."""
    if DEFAULT_PRECISION not in manifest.precisions:
        raise BundleFormatError(f"{MANIFEST_FILE}: precisions lack {DEFAULT_PRECISION!r}")
    needed = {TOKENIZER_FILE}
    for graphs in manifest.precisions.values():
        needed |= {check_name(name) for name in graphs.files()}
    for name in sorted(needed - manifest.files.keys()):
        raise MissingFileError(f"{MANIFEST_FILE} lists no {name}")


def check_name(name: str) -> str:
    """The name itself if it is the plain name of a file; UnsafePathError otherwise."""
    if not _SAFE_NAME.fullmatch(name) or name == MANIFEST_FILE:
        raise UnsafePathError(f"{name!r} is not the plain name of a file in the bundle's folder")
    return name
