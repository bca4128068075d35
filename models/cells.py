"""The recurrent cells: their equations, the order of their gates, how ONNX has them.

The equations are written over any kind of array. numpy evaluates them to look at a bundle's gates,
torch to train layer-normalised cells, and the exporter to write them out as ONNX nodes; the fused
kernels of torch and onnxruntime and the hand-written passes are held against them.
Must not know: numpy, torch, onnx.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeVar


class Array(Protocol):
    """What the equations need of an array: sums, differences and products, element by element."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...


A = TypeVar("A", bound=Array)
Gates = Mapping[str, A]
"""An array a gate, by its letter: i, f, g, o of the LSTMs, r, z, n of the GRUs, h of the RNNs."""


class Squashing(Protocol[A]):
    """The functions that the equations squash with."""

    def sigmoid(self, a: A, /) -> A:
        """The logistic function, 1 / (1 + exp(-a))."""

    def tanh(self, a: A, /) -> A:
        """The hyperbolic tangent."""

    def relu(self, a: A, /) -> A:
        """The larger of a and 0."""


@dataclass(frozen=True)
class StepInputs(Generic[A]):
    """What one step of a cell is calculated from, every array [B, H]."""

    x: Gates[A]
    """W x + b of each gate, layer-normalised where the layer is."""
    state: tuple[A, ...]
    """(h,), or (h, c) for the LSTMs."""
    recurrent: Callable[[A, str], Gates[A]]
    """R h + b of the named gates, layer-normalised where the layer is."""
    peepholes: Gates[A]
    """[H] for each gate that sees the memory cell; empty without peepholes."""
    normalize_cell: Callable[[A], A]
    """Layer normalisation of c on its way into h; the identity without it."""

    def see(self, a: A, gate: str, c: A) -> A:
        """The gate's sum with its peephole's view of the memory cell, if it has one."""
        return a + self.peepholes[gate] * c if gate in self.peepholes else a


@dataclass(frozen=True)
class StepOutputs(Generic[A]):
    """What one step of a cell came to, every array [B, H]."""

    state: tuple[A, ...]
    gates: Gates[A]
    """The activations, after squashing."""


Equation = Callable[[Squashing[A], StepInputs[A]], StepOutputs[A]]


def _rnn_tanh(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The simple RNN: h = tanh(W x + R h + b) (Elman 1990; ONNX RNN with Tanh)."""
    (h,) = at.state
    h_new = ops.tanh(at.x["h"] + at.recurrent(h, "h")["h"])
    return StepOutputs((h_new,), {"h": h_new})


def _rnn_relu(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The rectified RNN: h = relu(W x + R h + b) (Le 2015; ONNX RNN with Relu)."""
    (h,) = at.state
    h_new = ops.relu(at.x["h"] + at.recurrent(h, "h")["h"])
    return StepOutputs((h_new,), {"h": h_new})


def _lstm(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The LSTM with a forget gate, with or without peepholes (Gers 2000; 2002, eq. 1 to 6).

    i = sigmoid(W x + R h + b + p_i * c)      with c of the step before
    f = sigmoid(W x + R h + b + p_f * c)      likewise
    g = tanh(W x + R h + b)
    c = f * c + i * g
    o = sigmoid(W x + R h + b + p_o * c)      with the new c
    h = o * tanh(c)

    ONNX LSTM, its input P in the order i, o, f.
    """
    h, c = at.state
    x, r = at.x, at.recurrent(h, "ifgo")
    i = ops.sigmoid(at.see(x["i"] + r["i"], "i", c))
    f = ops.sigmoid(at.see(x["f"] + r["f"], "f", c))
    g = ops.tanh(x["g"] + r["g"])
    c_new = f * c + i * g
    o = ops.sigmoid(at.see(x["o"] + r["o"], "o", c_new))
    h_new = o * ops.tanh(at.normalize_cell(c_new))
    return StepOutputs((h_new, c_new), {"i": i, "f": f, "g": g, "o": o})


def _cifg(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The LSTM whose forget gate is what its input gate leaves: f = 1 - i (Greff 2017).

    c = (1 - i) * c + i * g = c + i * (g - c); all else as in the LSTM. ONNX LSTM, input_forget=1.
    """
    h, c = at.state
    x, r = at.x, at.recurrent(h, "igo")
    i = ops.sigmoid(at.see(x["i"] + r["i"], "i", c))
    g = ops.tanh(x["g"] + r["g"])
    c_new = c + i * (g - c)
    o = ops.sigmoid(at.see(x["o"] + r["o"], "o", c_new))
    h_new = o * ops.tanh(at.normalize_cell(c_new))
    return StepOutputs((h_new, c_new), {"i": i, "g": g, "o": o})


def _gru(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The GRU that resets behind the product (torch, cuDNN, Keras reset_after=True).

    r, z = sigmoid(W x + R h + b);  n = tanh(W x + b + r * (R h + b));  h = (1 - z) * n + z * h

    ONNX GRU, linear_before_reset=1.
    """
    (h,) = at.state
    x, s = at.x, at.recurrent(h, "rzn")
    r = ops.sigmoid(x["r"] + s["r"])
    z = ops.sigmoid(x["z"] + s["z"])
    n = ops.tanh(x["n"] + r * s["n"])
    return StepOutputs((n + z * (h - n),), {"r": r, "z": z, "n": n})


def _gru_reset_before(ops: Squashing[A], at: StepInputs[A]) -> StepOutputs[A]:
    """The GRU as published (Cho 2014; Keras reset_after=False; ONNX linear_before_reset=0).

    r, z = sigmoid(W x + R h + b);  n = tanh(W x + R (r * h) + b);  h = (1 - z) * n + z * h
    """
    (h,) = at.state
    x, s = at.x, at.recurrent(h, "rz")
    r = ops.sigmoid(x["r"] + s["r"])
    z = ops.sigmoid(x["z"] + s["z"])
    n = ops.tanh(x["n"] + at.recurrent(r * h, "n")["n"])
    return StepOutputs((n + z * (h - n),), {"r": r, "z": z, "n": n})


Operator = Literal["RNN", "LSTM", "GRU"]


@dataclass(frozen=True)
class CellKind:
    """What there is to know about a cell besides its weights."""

    operator: Operator
    """The ONNX operator that has it."""
    equation: Equation[Any]
    products: tuple[str, ...]
    """The gates in the order in which weights stack them (torch's), parted by the products with R
    that are taken one after the other."""
    peepholes: str = ""
    """The gates that see the memory cell, in the order in which weights stack them."""
    attributes: Mapping[str, int | list[str]] | None = None
    """Of the ONNX operator, besides hidden_size."""
    runs_on_cuda: bool = True
    """Whether onnxruntime's CUDA kernel takes the operator so."""

    @property
    def gates(self) -> str:
        """All gates, in the order in which weights stack them."""
        return "".join(self.products)

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is (h, c), not (h,)."""
        return self.operator == "LSTM"


ONNX_GATES: Mapping[Operator, str] = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
"""ONNX' gate orders in the letters used here (ONNX writes c for g, and h for n)."""
ONNX_PEEPHOLES = "iof"
"""ONNX' order of the LSTM's input P."""

CELLS: Mapping[str, CellKind] = {
    "rnn_tanh": CellKind("RNN", _rnn_tanh, ("h",), attributes={"activations": ["Tanh"]}),
    "rnn_relu": CellKind("RNN", _rnn_relu, ("h",), attributes={"activations": ["Relu"]}),
    "lstm": CellKind("LSTM", _lstm, ("ifgo",)),
    "peephole_lstm": CellKind("LSTM", _lstm, ("ifgo",), "ifo", runs_on_cuda=False),
    "cifg_lstm": CellKind(
        "LSTM", _cifg, ("igo",), attributes={"input_forget": 1}, runs_on_cuda=False
    ),
    "cifg_peephole_lstm": CellKind(
        "LSTM", _cifg, ("igo",), "io", attributes={"input_forget": 1}, runs_on_cuda=False
    ),
    "gru": CellKind(
        "GRU", _gru, ("rzn",), attributes={"linear_before_reset": 1}, runs_on_cuda=False
    ),
    "gru_reset_before": CellKind("GRU", _gru_reset_before, ("rz", "n")),
}
"""Every cell by its name."""
