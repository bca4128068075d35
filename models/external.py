"""Weights that lie in a file beside a graph (ONNX' external data): checked, and put inside.

A graph refers to such a file by name, and says where in it a weight begins and how long it is.
Nothing here opens a file: all bytes are those of the bundle's files, as they were checked.
Must not know: disks, manifests, what a graph must look like.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from models.errors import GraphError, MissingFileError
from models.manifest import MANIFEST_FILE, check_name

MAX_BYTES = 2**31 - 1
"""Of a graph with its weights inside: what an ONNX file can hold."""

_KEYS = ["length", "location", "offset"]


class _Place(NamedTuple):
    """Where a weight's bytes lie."""

    location: str
    start: int
    stop: int
    tensor: str


def data_files(name: str, files: Mapping[str, bytes]) -> frozenset[str]:
    """The names of the files beside it that a graph keeps weights in.

    Raises GraphError, UnsafePathError or MissingFileError where it refers to what it may not.
    """
    return frozenset(place.location for _, place in _places(name, _parse(files[name]), files))


def self_contained(name: str, files: Mapping[str, bytes]) -> bytes:
    """A graph with all weights inside: the file itself where it has them already.

    Only the graph's own initializers may lie outside; other weights that do are left for
    `models.graph` to refuse. Raises what `data_files` raises.
    """
    model = _parse(files[name])
    found = list(_places(name, model, files))
    if not found:
        return files[name]
    if model.ByteSize() + sum(place.stop - place.start for _, place in found) > MAX_BYTES:
        raise GraphError(f"{name} is larger than {MAX_BYTES} bytes with its weights inside")
    for tensor, place in found:
        tensor.raw_data = files[place.location][place.start : place.stop]
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return model.SerializeToString(deterministic=True)


def _parse(content: bytes) -> onnx.ModelProto:
    """The graph, or an empty one where it is none: `models.graph` finds the words for that."""
    try:
        return onnx.load_model_from_string(content)
    except DecodeError:
        return onnx.ModelProto()


def _places(
    name: str, model: onnx.ModelProto, files: Mapping[str, bytes]
) -> Iterator[tuple[TensorProto, _Place]]:
    """Every initializer that lies outside, with its place."""
    found = [
        (tensor, _place(name, tensor, files))
        for tensor in model.graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    ]
    for before, after in pairwise(sorted(place for _, place in found)):
        if before.location == after.location and before.stop > after.start:
            raise GraphError(f"{name} keeps {before.tensor} and {after.tensor} in the same place")
    yield from found


def _place(name: str, tensor: TensorProto, files: Mapping[str, bytes]) -> _Place:
    """Where a weight lies, which must be within one of the bundle's files and fit its shape."""
    texts = [text for entry in tensor.external_data for text in (entry.key, entry.value)]
    if not all(isinstance(text, str) for text in (tensor.name, *texts)):  # bytes: not UTF-8
        raise GraphError(f"{name} keeps a weight outside by what is no text")
    keys = sorted(entry.key for entry in tensor.external_data)
    if keys != _KEYS:
        raise GraphError(f"{name} keeps {tensor.name} outside by {keys}, not by {_KEYS}")
    values = {entry.key: entry.value for entry in tensor.external_data}
    location = check_name(values["location"])
    if location not in files:
        raise MissingFileError(f"{MANIFEST_FILE} lists no {location}, where {name} keeps weights")
    start, length = (_number(name, tensor, key, values[key]) for key in ("offset", "length"))
    if start + length > len(files[location]):
        raise GraphError(
            f"{name} keeps {tensor.name} in bytes {start} to {start + length} of {location}, "
            f"which has {len(files[location])}"
        )
    if length != _size(name, tensor):
        raise GraphError(f"{name} keeps {tensor.name} in {length} bytes, not {_size(name, tensor)}")
    return _Place(location, start, start + length, tensor.name)


def _number(name: str, tensor: TensorProto, key: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise GraphError(f"{name} keeps {tensor.name} outside with the {key} {text!r}")
    return int(text)


def _size(name: str, tensor: TensorProto) -> int:
    """The bytes that a weight of its type and shape takes."""
    if tensor.data_type not in _WIDTHS or min(tensor.dims, default=0) < 0:
        raise GraphError(f"{name} keeps {tensor.name} outside, whose type or shape forbids it")
    return _WIDTHS[tensor.data_type] * math.prod(tensor.dims)


_WIDTHS: dict[int, int] = {
    kind: helper.tensor_dtype_to_np_dtype(kind).itemsize
    for kind in (
        TensorProto.FLOAT,
        TensorProto.FLOAT16,
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT32,
        TensorProto.INT64,
    )
}
"""Bytes an element, of the types that weights have."""
