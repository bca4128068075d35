"""A Keras model's arrays out of an .npz file: all of them there, none too many, all of one shape.

`embedding` [V, E]; for each layer `layerN.kernel` [I, G*H], `layerN.recurrent_kernel` [H, G*H] and
`layerN.bias` [G*H] ([2, G*H] for a GRU with reset_after), and of a peephole LSTM also
`layerN.input_gate_peephole_weights`, `forget_gate` and `output_gate` [H]; `dense.kernel` [H, V] and
`dense.bias` [V]. float16, float32 and float64 are read; pickles are not.
Must not know: vocabularies, torch, bundles.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from training.errors import WeightsError, nearest

KerasCell = Literal["simple_rnn", "lstm", "peephole_lstm", "gru"]
KERAS_CELLS: tuple[KerasCell, ...] = get_args(KerasCell)
GATES: Mapping[KerasCell, str] = {
    "simple_rnn": "h",
    "lstm": "ifgo",
    "peephole_lstm": "ifgo",
    "gru": "zrn",
}
"""Keras' orders of the gates, in the letters of `models.cells` (Keras writes c for g, h for n)."""
PEEPHOLES = tuple(f"{gate}_gate_peephole_weights" for gate in ("input", "forget", "output"))

Arrays = Mapping[str, NDArray[np.float32]]
Shape = tuple[int, ...]

_LAYER = re.compile(r"layer(0|[1-9][0-9]*)\.")
_BROKEN = (
    *(ValueError, RuntimeError, OSError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What numpy and zipfile raise on files that are not what they seem."""


class Axis(NamedTuple):
    """How long an array must be along one of its dimensions, and why."""

    size: int
    reason: str


def read_arrays(path: Path, cell: KerasCell, dtype: type[np.floating[Any]]) -> Arrays:
    """Every array that a model of this cell has, as float32 and finite even in `dtype`.

    Raises WeightsError.
    """
    with _open(path) as archive:
        names = _check_names(path.name, cell, archive.files)
        return {name: _read(archive, name, dtype) for name in names}


def layer_count(names: Sequence[str] | Arrays) -> int:
    """How many layers the names speak of; WeightsError where one in between is missing."""
    found = {int(match[1]) for match in map(_LAYER.match, names) if match}
    for number in range(len(found)):
        if number not in found:
            raise WeightsError(f"there is a layer{max(found)}, but no layer{number}")
    return len(found)


def check_shapes(cell: KerasCell, arrays: Arrays) -> None:
    """Raise WeightsError unless all arrays fit together."""
    layers = layer_count(arrays)
    _check_ranks(cell, arrays)
    rows, columns = arrays["embedding"].shape
    units = len(arrays["layer0.recurrent_kernel"])
    inputs = Axis(columns, "the columns of embedding")
    for number in range(layers):
        _check_layer(cell, arrays, number, inputs)
        inputs = Axis(units, f"the units of layer{number}")
    _check_shape(arrays, "dense.kernel", inputs, Axis(rows, "the rows of embedding"))
    _check_shape(arrays, "dense.bias", Axis(rows, "the rows of embedding"))


@contextmanager
def _open(path: Path) -> Iterator[NpzFile]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from error
    with file:  # numpy leaves a file open that is no archive
        try:
            loaded = np.load(file, allow_pickle=False)
        except _BROKEN as error:
            raise WeightsError(f"{path} is no .npz file of arrays") from error
        if not isinstance(loaded, NpzFile):
            raise WeightsError(f"{path} holds an array without a name: write it with numpy.savez")
        with loaded:
            yield loaded


def _check_names(file: str, cell: KerasCell, found: Sequence[str]) -> list[str]:
    """The names of a model's arrays, unless some are missing or too many."""
    layers = max(1, layer_count(found))
    parts = ["kernel", "recurrent_kernel", "bias", *(PEEPHOLES if cell == "peephole_lstm" else ())]
    names = [f"layer{number}.{part}" for number in range(layers) for part in parts]
    known = ["embedding", *names, "dense.kernel", "dense.bias"]
    missing = [name for name in known if name not in found]
    extra = [name for name in found if name not in known]
    faults = []
    if missing:
        faults.append(f"lacks {', '.join(missing)}")
    if extra:
        hints = ("" if name.endswith(PEEPHOLES) else nearest(name, known) for name in extra)
        unknown = ", ".join(map("".join, zip(extra, hints, strict=True)))
        faults.append(f"holds what no {cell} of {layers} layer(s) has: {unknown}")
    if faults:
        raise WeightsError(f"{file} {' and '.join(faults)}{_other_cell(cell, missing, extra)}")
    return known


def _other_cell(cell: KerasCell, missing: Sequence[str], extra: Sequence[str]) -> str:
    """What to try if peepholes are all that is wrong."""
    if cell == "lstm" and not missing and all(name.endswith(PEEPHOLES) for name in extra):
        return "; with peepholes it is --cell peephole_lstm"
    if cell == "peephole_lstm" and not extra and all(name.endswith(PEEPHOLES) for name in missing):
        return "; without peepholes it is --cell lstm"
    return ""


def _read(archive: NpzFile, name: str, dtype: type[np.floating[Any]]) -> NDArray[np.float32]:
    try:
        array = archive[name]
    except _BROKEN as error:
        if "allow_pickle" in str(error):
            raise WeightsError(f"{name} holds Python objects, a pickle, not numbers") from error
        raise WeightsError(f"{name} cannot be read: the file is damaged") from error
    if not isinstance(array, np.ndarray):
        raise WeightsError(f"{name} is not an array")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        raise WeightsError(f"{name} is of {array.dtype}, not of float16, float32 or float64")
    if array.size == 0:
        raise WeightsError(f"{name} is empty: its shape is {list(array.shape)}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found below
        wrong = np.argwhere(~np.isfinite(array.astype(dtype)))
    if len(wrong):
        place, value = wrong[0].tolist(), array[tuple(wrong[0])]
        raise WeightsError(f"{name}{place} is {value}, which is no finite {dtype.__name__}")
    return np.asarray(array, np.float32)


def _check_ranks(cell: KerasCell, arrays: Arrays) -> None:
    """The number of dimensions of each array; every bias of a GRU is like the first."""
    bias_ranks = {1, 2} if cell == "gru" else {1}
    for name, array in arrays.items():
        ranks = {1} if name.endswith(("bias", *PEEPHOLES)) else {2}
        if _LAYER.match(name) and name.endswith("bias"):
            ranks = bias_ranks
        if array.ndim not in ranks:
            wanted = " or ".join(map(str, sorted(ranks)))
            raise WeightsError(
                f"{name} has the shape {list(array.shape)}, not one of {wanted} dimension(s)"
            )
        if ranks is bias_ranks:
            bias_ranks = {array.ndim}


def _check_layer(cell: KerasCell, arrays: Arrays, number: int, inputs: Axis) -> None:
    gates = len(GATES[cell])
    units = Axis(
        len(arrays["layer0.recurrent_kernel"]),
        "the rows of layer0.recurrent_kernel (all layers are of one width)",
    )
    sums = Axis(gates * units.size, f"{gates} gate(s) of {units.size} units")
    layer = f"layer{number}"
    _check_shape(arrays, f"{layer}.recurrent_kernel", units, sums)
    _check_shape(arrays, f"{layer}.kernel", inputs, sums)
    both = Axis(2, "a bias for the input and one for the state")
    bias = [sums] if arrays[f"{layer}.bias"].ndim == 1 else [both, sums]
    _check_shape(arrays, f"{layer}.bias", *bias)
    if cell == "peephole_lstm":
        for part in PEEPHOLES:
            _check_shape(arrays, f"{layer}.{part}", units)


def _check_shape(arrays: Arrays, name: str, *axes: Axis) -> None:
    found, wanted = arrays[name].shape, [axis.size for axis in axes]
    for dimension, (size, axis) in enumerate(zip(found, axes, strict=True)):
        if size != axis.size:
            raise WeightsError(
                f"{name} has the shape {list(found)}, not {wanted}: "
                f"dimension {dimension} must be {axis.size}, {axis.reason}"
            )
