"""A recurrent layer as ONNX nodes: one fused operator, or decomposed into basic ones in a Scan.

Both take x [T, B, I], `lengths` [B] and a state [1, B, H] and give y [T, B, H], zero behind each
row's length, and the state as it was there. The decomposed form is for layers that no operator has
(layer normalisation) and for runtimes whose operator refuses the cell (onnxruntime's CUDA kernels).
Must not know: embeddings, heads, files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto

from models.cells import ONNX_GATES, ONNX_PEEPHOLES, Gates, StepInputs
from training.arrays import array
from training.cells import Layer
from training.normalization import EPSILON, LayerNorms
from training.onnx_writer import Dims, GraphWriter, OnnxSquashing, Value, float_info


@dataclass(frozen=True)
class LayerNames:
    """How the values around layer `number` are called: x_0 goes in, x_1 comes out."""

    number: int
    suffix: str = ""
    """Behind the names of the states, where those of the graph are not [1, B, H]."""

    def state(self, part: str) -> str:
        """The state before: "h" or "c"."""
        return f"{part}_{self.number}{self.suffix}"

    def state_out(self, part: str) -> str:
        """The state behind each row's length."""
        return f"{part}_{self.number}_out{self.suffix}"

    @property
    def x(self) -> str:
        """The layer's input."""
        return f"x_{self.number}"

    @property
    def y(self) -> str:
        """The layer's output, which the next one takes."""
        return f"x_{self.number + 1}"


def state_parts(layer: Layer) -> str:
    """The parts of a layer's state: "h", or "hc"."""
    return "hc" if layer.kind.has_cell_state else "h"


def add_native_layer(graph: GraphWriter, names: LayerNames, layer: Layer) -> None:
    """One fused node; a coupled forget gate's own weights, which ONNX has and ignores, are zero."""
    kind, n = layer.kind, names.number
    gates = ONNX_GATES[kind.operator]
    w = graph.matrix(f"W_{n}", _stack(layer, layer.weight_ih, gates)[None], rows=1)
    r = graph.matrix(f"R_{n}", _stack(layer, layer.weight_hh, gates)[None], rows=1)
    biases = [_stack(layer, bias, gates) for bias in (layer.bias_ih, layer.bias_hh)]
    b = graph.weights(f"B_{n}", np.concatenate(biases)[None])
    inputs = [names.x, w, r, b, "lengths", *(names.state(part) for part in state_parts(layer))]
    if layer.peephole is not None:
        inputs.append(graph.weights(f"P_{n}", _peepholes(layer)[None]))
    outputs = [f"y_{n}", *(names.state_out(part) for part in state_parts(layer))]
    attributes: dict[str, Any] = dict(kind.attributes or {})
    graph.node(kind.operator, inputs, outputs, hidden_size=layer.hidden, **attributes)
    graph.node("Squeeze", [f"y_{n}", graph.integers(f"direction_axis_{n}", [1])], [names.y])


def add_decomposed_layer(graph: GraphWriter, names: LayerNames, layer: Layer) -> None:
    """All input products at once, then a Scan over time whose body is the cell's equation.

    How many steps a row still has is counted down in the loop, which spares all arithmetic with
    shapes: that would run on the CPU even where everything else is on a GPU.
    """
    n, parts = names.number, state_parts(layer)
    x_TBG = _input_sums(graph, names, layer)
    row_axis, state_axis = graph.integers(f"row_axis_{n}", [1]), graph.integers(f"axis_{n}", [0])
    left_B = graph.value("Cast", "lengths", to=TensorProto.FLOAT)
    left_B1 = graph.value("Unsqueeze", left_B, row_axis)
    state = [graph.value("Squeeze", names.state(part), state_axis) for part in parts]
    last = [f"{part}_{n}_last{names.suffix}" for part in parts]
    body = _body(graph, names, layer)
    outputs = [f"left_{n}_last", *last, names.y]
    graph.node("Scan", [left_B1, *state, x_TBG], outputs, body=body, num_scan_inputs=1)
    for part, value in zip(parts, last, strict=True):
        graph.node("Unsqueeze", [value, state_axis], [names.state_out(part)])


def _input_sums(graph: GraphWriter, names: LayerNames, layer: Layer) -> str:
    """W x + b of all steps, [T, B, G*H]."""
    n = names.number
    W = graph.matrix(f"W_{n}", array(layer.weight_ih).T, rows=1)
    products = graph.value("MatMul", names.x, W)
    b = graph.weights(f"B_W_{n}", array(layer.bias_ih))
    if isinstance(layer.norm, LayerNorms):
        gain = graph.weights(f"W_gain_{n}", array(layer.norm.gain_ih))
        return graph.value("LayerNormalization", products, gain, b, axis=-1, epsilon=EPSILON)
    return graph.value("Add", products, b)


def _body(graph: GraphWriter, names: LayerNames, layer: Layer) -> Any:
    """One step of the cell's equation; rows that are at their end keep their state and give 0."""
    n, parts = names.number, state_parts(layer)
    zero, one = graph.scalar(f"zero_{n}", 0.0), graph.scalar(f"one_{n}", 1.0)
    recurrent, peepholes = _Recurrent(graph, n, layer), _peephole_names(graph, n, layer)
    shape_BH: Dims = ["B", layer.hidden]
    shape_B1: Dims = ["B", 1]
    step = GraphWriter(prefix=f"step_{n}_")
    before = [Value(step, f"{part}_before") for part in parts]
    inputs = StepInputs(
        x=_split(Value(step, "x_BG"), layer.gates),
        state=tuple(before),
        recurrent=recurrent.sums,
        peepholes={gate: Value(step, name) for gate, name in peepholes.items()},
        normalize_cell=_cell_normalization(graph, n, layer),
    )
    after = layer.kind.equation(OnnxSquashing(), inputs).state
    runs = step.value("Greater", "left_B1", zero)
    for part, new, old in zip(parts, after, before, strict=True):
        step.node("Where", [runs, new.name, old.name], [f"{part}_after"])
    step.node("Where", [runs, after[0].name, zero], ["y_BH"])
    step.node("Sub", ["left_B1", one], ["left_after"])
    return step.body(
        f"step_{n}",
        [float_info("left_B1", shape_B1)]
        + [float_info(value.name, shape_BH) for value in before]
        + [float_info("x_BG", ["B", layer.weight_ih.shape[0]])],
        [float_info("left_after", shape_B1)]
        + [float_info(f"{part}_after", shape_BH) for part in parts]
        + [float_info("y_BH", shape_BH)],
    )


class _Recurrent:
    """R h + b of the gates that are one product; the weights lie in the graph around the body."""

    def __init__(self, graph: GraphWriter, number: int, layer: Layer) -> None:
        self._layer = layer
        sizes = [len(gates) * layer.hidden for gates in layer.kind.products]
        gains = [None] * len(sizes)
        if isinstance(layer.norm, LayerNorms):
            gains = list(layer.norm.gain_hh.split(sizes))
        self._names: dict[str, tuple[str, str, str]] = {}
        parts = zip(
            layer.kind.products, layer.weight_hh.split(sizes), layer.bias_hh.split(sizes), gains,
            strict=True,
        )  # fmt: skip
        for gates, R, b, gain in parts:
            self._names[gates] = (
                graph.matrix(f"R_{number}_{gates}", array(R).T, rows=1),
                graph.weights(f"B_R_{number}_{gates}", array(b)),
                "" if gain is None else graph.weights(f"R_gain_{number}_{gates}", array(gain)),
            )

    def sums(self, h: Value, gates: str) -> Gates[Value]:
        """The sums of the named gates, which must be one of the cell's products."""
        R, b, gain = self._names[gates]
        product = h.then("MatMul", R)
        if gain:
            attributes = {"axis": -1, "epsilon": EPSILON}
            return _split(product.then("LayerNormalization", gain, b, **attributes), gates)
        return _split(product.then("Add", b), gates)


def _split(sums: Value, gates: str) -> Gates[Value]:
    """[B, G*H] cut into a [B, H] for each gate."""
    if len(gates) == 1:
        return {gates: sums}
    writer = sums.writer
    names = [f"{sums.name}_{gate}" for gate in gates]
    writer.node("Split", [sums.name], names, axis=-1, num_outputs=len(gates))
    return {gate: Value(writer, name) for gate, name in zip(gates, names, strict=True)}


def _peephole_names(graph: GraphWriter, number: int, layer: Layer) -> dict[str, str]:
    if layer.peephole is None:
        return {}
    rows = zip(layer.kind.peepholes, array(layer.peephole), strict=True)
    return {gate: graph.weights(f"P_{number}_{gate}", row) for gate, row in rows}


def _cell_normalization(graph: GraphWriter, number: int, layer: Layer) -> Callable[[Value], Value]:
    """The layer normalisation of c, or the identity."""
    if not isinstance(layer.norm, LayerNorms) or not layer.kind.has_cell_state:
        return lambda c: c
    gain = graph.weights(f"C_gain_{number}", array(layer.norm.gain_c))
    shift = graph.weights(f"C_shift_{number}", array(layer.norm.shift_c))
    return lambda c: c.then("LayerNormalization", gain, shift, axis=-1, epsilon=EPSILON)


def _stack(layer: Layer, tensor: torch.Tensor, gates: str) -> NDArray[np.float32]:
    """Weights or a bias with the gates in another order; zeros for a gate the layer lacks."""
    parts = dict(zip(layer.gates, np.split(array(tensor), len(layer.gates)), strict=True))
    absent = np.zeros_like(next(iter(parts.values())))
    return np.concatenate([parts.get(gate, absent) for gate in gates])


def _peepholes(layer: Layer) -> NDArray[np.float32]:
    """ONNX' P [3*H]; zeros for a gate the layer lacks."""
    assert layer.peephole is not None
    rows = dict(zip(layer.kind.peepholes, array(layer.peephole), strict=True))
    absent = np.zeros(layer.hidden, np.float32)
    return np.concatenate([rows.get(gate, absent) for gate in ONNX_PEEPHOLES])
