"""The weights of a bundle's graphs, read back by the names that the export gave them.

Must not know: torch, onnxruntime, what the weights are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from models.cells import ONNX_GATES, ONNX_PEEPHOLES, CellKind
from models.errors import GraphError

Floats = NDArray[np.float32]


class GraphWeights:
    """The weights of a graph by name, whether they lie in float32, as halves or as bytes."""

    def __init__(self, graph: bytes) -> None:
        """Look into a graph that has all its weights inside (`Bundle.graphs`)."""
        tensors = onnx.load_model_from_string(graph).graph.initializer
        self._tensors = {tensor.name: tensor for tensor in tensors}

    def __getitem__(self, name: str) -> Floats:
        """The weights of that name; GraphError where the graph has none."""
        found = self.find(name)
        if found is None:
            raise GraphError(f"the graph has no weights {name!r}")
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
class LayerWeights:
    """A layer's weights in the order of its cell's gates; gains are None without normalisation."""

    W: Floats
    b_W: Floats
    W_gain: Floats | None
    products: Mapping[str, tuple[Floats, Floats, Floats | None]]
    """R [G*H, H], bias and gain of the gates that are one product."""
    peepholes: Mapping[str, Floats]
    cell: tuple[Floats, Floats] | None
    """Gain and shift of c's normalisation."""


def read_layer(weights: GraphWeights, kind: CellKind, number: int, hidden: int) -> LayerWeights:
    """The weights of layer `number`, [G*H, ..], be it one fused node or decomposed.

    Raises GraphError where the graph was not written by nextword.
    """
    if weights.find(f"R_{number}") is not None:
        return _read_fused(weights, kind, number, hidden)
    return _read_decomposed(weights, kind, number)


def _read_fused(weights: GraphWeights, kind: CellKind, number: int, hidden: int) -> LayerWeights:
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
    return LayerWeights(
        stack(W, kind.gates), stack(b_W, kind.gates), None, products, peepholes, None
    )


def _read_decomposed(weights: GraphWeights, kind: CellKind, number: int) -> LayerWeights:
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
    return LayerWeights(W, b_W, weights.find(f"W_gain_{number}"), products, peepholes, cell)
