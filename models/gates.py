"""What every gate of a bundle did at every token of a text, calculated with numpy from its graphs.

The weights are read out of the recurrent graph, fused or decomposed, and the cell's equations of
`models.cells` run over the text from a state of zeros. It is slower than a runtime and needs none.
Must not know: torch, onnxruntime, drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.bundle import Bundle
from models.cells import CELLS, ONNX_GATES, ONNX_PEEPHOLES, CellKind, Gates, StepInputs
from models.errors import GateError

Floats = NDArray[np.float32]

NAMES: Mapping[str, str] = {
    "i": "input",
    "f": "forget",
    "g": "cell",
    "o": "output",
    "r": "reset",
    "z": "update",
    "n": "candidate",
    "h": "hidden",
}
"""What the gates' letters stand for."""

_EPSILON = 1e-5
"""Of layer normalisation, as in the graphs."""


@dataclass(frozen=True)
class GateTrace:
    """The gates of every layer over a text of T tokens."""

    words: tuple[str, ...]
    """Each token as it stands in the text, without the blanks around it."""
    layers: tuple[Mapping[str, Floats], ...]
    """For each layer, [T, H] for each gate by its full name, after squashing."""
    states: tuple[tuple[Floats, ...], ...]
    """For each layer, h [T, H], and c where there is one."""


def trace_gates(bundle: Bundle, text: str) -> GateTrace:
    """Read a text from a state of zeros and keep what every gate did at each of its tokens.

    Raises GateError where the text holds no token, or the bundle's recurrent graph was not written
    by nextword.
    """
    ids, ends = bundle.tokenizer.scan(text)
    if not ids:
        raise GateError("the text holds no token")
    kind = _kind(bundle)
    weights = _Weights(bundle.graphs()[0])
    x_TI = weights["embedding"][ids]
    layers, states = [], []
    for number in range(bundle.manifest.architecture.layers):
        layer = _read_layer(weights, kind, number, bundle.manifest.architecture.hidden)
        gates, state = _run(kind, layer, x_TI)
        layers.append(gates)
        states.append(state)
        x_TI = state[0]
    pieces = (text[start:end] for start, end in pairwise([0, *ends]))
    words = tuple(piece.strip() or repr(piece)[1:-1] for piece in pieces)
    return GateTrace(words, tuple(layers), tuple(states))


def _kind(bundle: Bundle) -> CellKind:
    cell = bundle.manifest.architecture.cell
    if cell not in CELLS:
        raise GateError(f"no equations for the cell {cell!r}")
    return CELLS[cell]


class _Weights:
    """The weights of a graph by name, whether they lie in float32, as halves or as bytes."""

    def __init__(self, graph: bytes) -> None:
        tensors = onnx.load_model_from_string(graph).graph.initializer
        self._tensors = {tensor.name: tensor for tensor in tensors}

    def __getitem__(self, name: str) -> Floats:
        found = self.find(name)
        if found is None:
            raise GateError(f"the recurrent graph has no weights {name!r}")
        return found

    def find(self, name: str) -> Floats | None:
        """The weights of that name, or None where the graph has none."""
        for factors in ([name], [f"{name}_f16"], [f"{name}_i8", f"{name}_scale"]):
            if all(factor in self._tensors for factor in factors):
                found = np.ones((), np.float32)
                for factor in factors:
                    found = found * numpy_helper.to_array(self._tensors[factor]).astype(np.float32)
                return found
        return None


@dataclass(frozen=True)
class _Layer:
    """A layer's weights in the order of its cell's gates; gains are None without normalisation."""

    W: Floats
    b_W: Floats
    W_gain: Floats | None
    products: Mapping[str, tuple[Floats, Floats, Floats | None]]
    """R [G*H, H], bias and gain of the gates that are one product."""
    peepholes: Mapping[str, Floats]
    cell: tuple[Floats, Floats] | None
    """Gain and shift of c's normalisation."""


def _read_layer(weights: _Weights, kind: CellKind, number: int, hidden: int) -> _Layer:
    if weights.find(f"R_{number}") is not None:
        return _read_fused(weights, kind, number, hidden)
    return _read_decomposed(weights, kind, number)


def _read_fused(weights: _Weights, kind: CellKind, number: int, hidden: int) -> _Layer:
    """The inputs W, R, B and P of an RNN, LSTM or GRU node, put into the cell's order."""
    gates = ONNX_GATES[kind.operator]

    def stack(stacked: Floats, wanted: str) -> Floats:
        parts = dict(zip(gates, np.split(stacked, len(gates)), strict=True))
        return np.concatenate([parts[gate] for gate in wanted])

    W, R, b = (weights[f"{name}_{number}"][0] for name in "WRB")
    b_W, b_R = np.split(b, 2)
    peepholes = {}
    if kind.peepholes:
        rows = weights[f"P_{number}"].reshape(3, hidden)
        by_gate = dict(zip(ONNX_PEEPHOLES, rows, strict=True))
        peepholes = {gate: by_gate[gate] for gate in kind.peepholes}
    products = {part: (stack(R, part), stack(b_R, part), None) for part in kind.products}
    return _Layer(stack(W, kind.gates), stack(b_W, kind.gates), None, products, peepholes, None)


def _read_decomposed(weights: _Weights, kind: CellKind, number: int) -> _Layer:
    """The weights around a Scan, which lie in the cell's order, transposed for MatMul."""
    products = {
        part: (
            weights[f"R_{number}_{part}"].T,
            weights[f"B_R_{number}_{part}"],
            weights.find(f"R_gain_{number}_{part}"),
        )
        for part in kind.products
    }
    peepholes = {gate: weights[f"P_{number}_{gate}"] for gate in kind.peepholes}
    gain = weights.find(f"C_gain_{number}")
    cell = None if gain is None else (gain, weights[f"C_shift_{number}"])
    W, b_W = weights[f"W_{number}"].T, weights[f"B_W_{number}"]
    return _Layer(W, b_W, weights.find(f"W_gain_{number}"), products, peepholes, cell)


def _run(
    kind: CellKind, layer: _Layer, x_TI: Floats
) -> tuple[Mapping[str, Floats], tuple[Floats, ...]]:
    """The cell's equation at every token; the gates by their full names, and the states."""
    x_TG = _sums(x_TI, layer.W, layer.b_W, layer.W_gain)
    zeros = np.zeros(x_TG.shape[1] // len(kind.gates), np.float32)
    state: tuple[Floats, ...] = (zeros, zeros) if kind.has_cell_state else (zeros,)
    steps, states = [], []
    for x_G in x_TG:
        inputs = StepInputs(
            x=_split(x_G, kind.gates),
            state=state,
            recurrent=_recurrent(layer),
            peepholes=layer.peepholes,
            normalize_cell=lambda c: c if layer.cell is None else _normalize(c, *layer.cell),
        )
        outputs = kind.equation(_Numpy(), inputs)
        state = outputs.state
        steps.append(outputs.gates)
        states.append(state)
    gates = {NAMES[gate]: np.stack([step[gate] for step in steps]) for gate in kind.gates}
    if kind.gates == "igo":  # the coupled forget gate has no sum of its own
        gates["forget"] = 1 - gates["input"]
    return gates, tuple(np.stack(part) for part in zip(*states, strict=True))


def _recurrent(layer: _Layer) -> Callable[[Floats, str], Gates[Floats]]:
    def product(h: Floats, gates: str) -> Gates[Floats]:
        R, b, gain = layer.products[gates]
        return _split(_sums(h, R, b, gain), gates)

    return product


def _sums(x: Floats, W: Floats, b: Floats, gain: Floats | None) -> Floats:
    """W x + b, the product normalised where there is a gain."""
    product: Floats = x @ W.T
    return product + b if gain is None else _normalize(product, gain, b)


def _normalize(a: Floats, gain: Floats, shift: Floats) -> Floats:
    """Layer normalisation over the last axis (Ba 2016, equation 4)."""
    centred = a - a.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON)
    normalized: Floats = centred / scale * gain + shift
    return normalized


def _split(sums: Floats, gates: str) -> Gates[Floats]:
    return dict(zip(gates, np.split(sums, len(gates)), strict=True))


class _Numpy:
    """numpy's functions, for the equations."""

    @staticmethod
    def sigmoid(a: Floats) -> Floats:
        with np.errstate(over="ignore"):  # exp of much gives infinity, and that the right zero
            result: Floats = (1 / (1 + np.exp(-a))).astype(a.dtype)
        return result

    @staticmethod
    def tanh(a: Floats) -> Floats:
        result: Floats = np.tanh(a)
        return result

    @staticmethod
    def relu(a: Floats) -> Floats:
        return np.maximum(a, np.float32(0))
