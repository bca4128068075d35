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
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from models.errors import (
    AlteredFileError,
    BundleExistsError,
    BundleFormatError,
    GraphError,
    MissingFileError,
    TokenizerError,
    UnsafePathError,
)
from models.external import data_files, self_contained
from models.graph import GraphShape, check_head, check_recurrent
from models.manifest import (
    CARD_FILE,
    DEFAULT_PRECISION,
    MANIFEST_FILE,
    TOKENIZER_FILE,
    FileEntry,
    Graphs,
    Manifest,
    check_name,
    parse_manifest,
)
from models.text import Tokenizer

__all__ = [
    "CARD_FILE",
    "DEFAULT_PRECISION",
    "MANIFEST_FILE",
    "TOKENIZER_FILE",
    "Bundle",
    "Manifest",
    "load",
    "save",
]


@dataclass(frozen=True)
class Bundle:
    """A bundle that passed every check, its files in memory as they were checked."""

    manifest: Manifest
    tokenizer: Tokenizer
    sha256: str
    """Of `bundle.json`, which holds the hash of every other file: the model's identity."""
    files: Mapping[str, bytes] = field(repr=False)

    def graphs(
        self, precision: str = DEFAULT_PRECISION, *, fused: bool = True
    ) -> tuple[bytes, bytes]:
        """The recurrent and the head graph of a precision; GraphError where it is not offered.

        All weights are inside, also those that lie in a file of their own on disk. Without
        `fused`, the recurrent graph is the decomposed one if the bundle has it: that is for
        runtimes whose fused operators refuse the cell, or give other bits in other batches.
        """
        names = self._names(precision)
        recurrent = names.recurrent if fused else names.decomposed or names.recurrent
        return self_contained(recurrent, self.files), self_contained(names.head, self.files)

    def size_bytes(self, precision: str = DEFAULT_PRECISION) -> int:
        """Of a precision's recurrent graph and head on disk; what they share counts once."""
        names = self._names(precision)
        graphs = {names.recurrent, names.head}
        data = [data_files(name, self.files) for name in graphs]
        return sum(len(self.files[name]) for name in graphs.union(*data))

    def _names(self, precision: str) -> Graphs:
        try:
            return self.manifest.precisions[precision]
        except KeyError:
            offered = ", ".join(self.manifest.precisions)
            raise GraphError(f"no precision {precision!r}; there is {offered}") from None


def load(folder: Path) -> Bundle:
    """Read a bundle and check all of it.

    Raises the BundleError that names the first thing that is wrong: format, unsafe path, missing
    or altered file, tokenizer, weights beside a graph, graph.
    """
    text = _read_manifest_text(folder)
    manifest = parse_manifest(text)
    files = MappingProxyType(
        {name: _read_file(folder, name, entry) for name, entry in manifest.files.items()}
    )
    tokenizer = _read_tokenizer(manifest, files)
    _check_data(folder, manifest, files)
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
            _write_durably(staging / check_name(name), content)
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


def _check_data(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Refuse weights outside a graph that lie where they may not, or behind a link.

    Runtimes that open the folder by themselves refuse such links, or follow them unchecked.
    """
    for graphs in manifest.precisions.values():
        for name in graphs.files():
            for location in sorted(data_files(name, files)):
                if (folder / location).is_symlink():
                    raise UnsafePathError(f"{location}, where {name} keeps weights, is a link")


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
        for name in (graphs.recurrent, graphs.decomposed):
            if name is not None:
                check_recurrent(name, self_contained(name, files), shape)
        check_head(graphs.head, self_contained(graphs.head, files), shape)


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
