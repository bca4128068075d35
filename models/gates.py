"""What every gate of a bundle did at every token of a text, calculated with numpy from its graphs.

The cell's equations of `models.cells` run over the text from a state of zeros, on the weights of
the recurrent graph. It is slower than a runtime and needs none.
Must not know: torch, onnxruntime, how weights lie in a graph, drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle
from models.cells import CELLS, CellKind, Gates, StepInputs
from models.errors import GateError
from models.weights import GraphWeights, LayerWeights, read_layer

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

    Raises GateError where the text holds no token, GraphError where the bundle's recurrent graph
    was not written by nextword.
    """
    ids, ends = bundle.tokenizer.scan(text)
    if not ids:
        raise GateError("the text holds no token")
    kind = _kind(bundle)
    weights = GraphWeights(bundle.graphs()[0])
    x_TI = weights["embedding"][ids]
    layers, states = [], []
    for number in range(bundle.manifest.architecture.layers):
        layer = read_layer(weights, kind, number, bundle.manifest.architecture.hidden)
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


def _run(
    kind: CellKind, layer: LayerWeights, x_TI: Floats
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


def _recurrent(layer: LayerWeights) -> Callable[[Floats, str], Gates[Floats]]:
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
