"""The bundle: one folder that is a model, and the one door through which it is read and written.

`load` checks everything before anything is used, `save` writes a whole bundle or nothing. The
format is specified in `models/README.md`.
Must not know: torch, onnxruntime, HTTP, how a model is trained or run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import (
    AlteredFileError,
    BundleExistsError,
    BundleFormatError,
    GraphError,
    MissingFileError,
    NewerFormatError,
    TokenizerError,
    UnsafePathError,
)
from models.graph import GraphShape, check_head, check_recurrent
from models.text import Tokenizer

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


class StateTensor(_Strict):
    """One tensor of the recurrent state; `B` in its shape stands for the batch."""

    name: str
    shape: tuple[int | Literal["B"], ...]
    dtype: Literal["float32"] = "float32"


class Graphs(_Strict):
    """The two graph files of one precision."""

    recurrent: str
    head: str


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
    """Whether the default precision answers bit for bit the same in any batch."""
    precisions: dict[str, Graphs]
    files: dict[str, FileEntry] = Field(default_factory=dict)
    provenance: Provenance


@dataclass(frozen=True)
class Bundle:
    """A bundle that passed every check, its files in memory as they were checked."""

    manifest: Manifest
    tokenizer: Tokenizer
    sha256: str
    """Of `bundle.json`, which holds the hash of every other file: the model's identity."""
    files: Mapping[str, bytes] = field(repr=False)

    def graphs(self, precision: str = DEFAULT_PRECISION) -> tuple[bytes, bytes]:
        """The recurrent and the head graph of a precision; GraphError where it is not offered."""
        try:
            names = self.manifest.precisions[precision]
        except KeyError:
            offered = ", ".join(self.manifest.precisions)
            raise GraphError(f"no precision {precision!r}; there is {offered}") from None
        return self.files[names.recurrent], self.files[names.head]


def load(folder: Path) -> Bundle:
    """Read a bundle and check all of it.

    Raises the BundleError that names the first thing that is wrong: format, unsafe path, missing
    or altered file, tokenizer, graph.
    """
    text = _read_manifest_text(folder)
    manifest = _parse_manifest(text)
    files = MappingProxyType(
        {name: _read_file(folder, name, entry) for name, entry in manifest.files.items()}
    )
    tokenizer = _read_tokenizer(manifest, files)
    _check_graphs(manifest, files)
    return Bundle(manifest, tokenizer, hashlib.sha256(text).hexdigest(), files)


def save(manifest: Manifest, files: Mapping[str, bytes], repository: Path) -> Path:
    """Write a bundle to `<repository>/<name>/<version>/` and return that folder.

    Sizes and hashes are filled in here. The bundle is written beside its place, read back through
    `load`, and only then renamed: a failure leaves nothing. BundleExistsError where the version
    is taken.
    """
    target = repository / manifest.name / str(manifest.version)
    if target.exists():
        raise BundleExistsError(f"{target} exists; versions are never overwritten")
    entries = {
        name: FileEntry(size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in sorted(files.items())
    }
    complete = manifest.model_copy(update={"files": entries})
    created = not target.parent.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{manifest.version}.", dir=target.parent))
    try:
        for name, content in files.items():
            _write_durably(staging / _safe(name), content)
        described = json.dumps(complete.model_dump(), indent=1, ensure_ascii=False) + "\n"
        _write_durably(staging / MANIFEST_FILE, described.encode())
        load(staging)
        staging.chmod(0o755)
        staging.rename(target)
    except OSError as error:
        if target.exists():
            raise BundleExistsError(f"{target} exists; versions are never overwritten") from error
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if created:
            with contextlib.suppress(OSError):  # there is a bundle in it
                target.parent.rmdir()
    return target


def _read_manifest_text(folder: Path) -> bytes:
    try:
        _check_own(folder, MANIFEST_FILE)
        return (folder / MANIFEST_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleFormatError(f"{folder} is not a bundle: it has no {MANIFEST_FILE}") from None
    except OSError as error:
        raise BundleFormatError(f"{folder / MANIFEST_FILE}: {error.strerror}") from error


def _parse_manifest(text: bytes) -> Manifest:
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
        _safe(name)
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
        needed |= {_safe(graphs.recurrent), _safe(graphs.head)}
    for name in sorted(needed - manifest.files.keys()):
        raise MissingFileError(f"{MANIFEST_FILE} lists no {name}")


def _safe(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name) or name == MANIFEST_FILE:
        raise UnsafePathError(f"{name!r} is not the plain name of a file in the bundle's folder")
    return name


def _read_file(folder: Path, name: str, entry: FileEntry) -> bytes:
    path = folder / name
    try:
        _check_own(folder, name)
        if path.stat().st_size != entry.size:
            raise AlteredFileError(f"{name} has {path.stat().st_size} bytes, not {entry.size}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingFileError(f"{name} is missing from {folder}") from None
    except OSError as error:
        raise MissingFileError(f"{name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise AlteredFileError(f"{name} is not the file that was saved: its sha256 differs")
    return content


def _check_own(folder: Path, name: str) -> None:
    """Refuse a link that leads out of the folder, and what is no regular file (a pipe blocks)."""
    path = folder / name
    if path.is_symlink() and Path(os.path.realpath(path)).parent != folder.resolve():
        raise UnsafePathError(f"{name} is a link that leads out of the bundle's folder")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # reading a folder fails by itself
        raise UnsafePathError(f"{name} is no regular file")


def _read_tokenizer(manifest: Manifest, files: Mapping[str, bytes]) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_json(files[TOKENIZER_FILE].decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{TOKENIZER_FILE} is not UTF-8") from error
    if len(tokenizer) != manifest.architecture.vocabulary:
        raise TokenizerError(
            f"{TOKENIZER_FILE} has {len(tokenizer)} tokens, the model's vocabulary "
            f"{manifest.architecture.vocabulary}"
        )
    return tokenizer


def _check_graphs(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    for tensor in manifest.state:
        if tensor.shape != (1, "B", manifest.architecture.hidden):
            raise BundleFormatError(f"{MANIFEST_FILE}: state {tensor.name} is not [1, B, hidden]")
    shape = GraphShape(
        vocabulary=manifest.architecture.vocabulary,
        features=manifest.features,
        hidden=manifest.architecture.hidden,
        state=tuple(tensor.name for tensor in manifest.state),
    )
    for graphs in manifest.precisions.values():
        check_recurrent(graphs.recurrent, files[graphs.recurrent], shape)
        check_head(graphs.head, files[graphs.head], shape)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
