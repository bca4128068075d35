"""Each cell's equations in plain numpy, one token at a time: what the fast ones are held against.

Written from the papers' equations, not from the code under test. Weights are a dictionary of
`weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` and `bias_hh` [G*H], `peephole` [P, H] where
there are some, their rows stacked gate by gate: i, f, g, o in the LSTMs (i, g, o where the forget
gate is 1 - i), r, z, n in the GRUs. A layer-normalised layer has `gain_ih` and `gain_hh` [G*H], and
`gain_c` and `shift_c` [H] if it has a memory cell. No tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Weights = Mapping[str, Doubles]

EPSILON = 1e-5
"""Of layer normalisation."""


def run(cell: str, weights: Weights, x_TBI: Doubles, state: Sequence[Doubles]) -> Any:
    """The outputs [T, B, H] and the last state of one layer."""
    outputs = []
    for x_BI in x_TBI:
        state = _STEPS[cell](weights, x_BI, *state)
        outputs.append(state[0])
    return np.stack(outputs), list(state)


def run_layers(
    cell: str, layers: Sequence[Weights], x_TBI: Doubles, states: Sequence[Sequence[Doubles]]
) -> Any:
    """The outputs of the last of several layers, and the last state of each."""
    last = []
    for weights, state in zip(layers, states, strict=True):
        x_TBI, after = run(cell, weights, x_TBI, state)
        last.append(after)
    return x_TBI, last


def from_keras(cell: str, arrays: Mapping[str, NDArray[Any]]) -> Weights:
    """A layer's arrays as Keras has them (`kernel` [I, G*H], ..), in the layout of this module.

    Keras' gates are i, f, c, o and z, r, h. A GRU that resets behind the product has two biases.
    """
    kernel, recurrent = (arrays[name].T for name in ("kernel", "recurrent_kernel"))
    bias = arrays["bias"]
    bias_ih, bias_hh = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    weights = {
        "weight_ih": kernel,
        "weight_hh": recurrent,
        "bias_ih": bias_ih,
        "bias_hh": bias_hh,
    }
    if cell.startswith("gru"):
        for name, array in weights.items():
            z, r, h = np.split(array, 3)
            weights[name] = np.concatenate([r, z, h])
    if cell == "peephole_lstm":
        gates = ("input", "forget", "output")
        weights["peephole"] = np.stack([arrays[f"{gate}_gate_peephole_weights"] for gate in gates])
    return {name: np.asarray(array, np.float64) for name, array in weights.items()}


def layer_norm(a: Doubles, gain: Doubles, shift: Doubles) -> Doubles:
    """Each row with mean 0 and variance 1, then scaled and shifted (Ba 2016, equation 4)."""
    mean = a.mean(axis=1, keepdims=True)
    variance = ((a - mean) ** 2).mean(axis=1, keepdims=True)
    return (a - mean) / np.sqrt(variance + EPSILON) * gain + shift


def _sigmoid(a: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-a))


def _of_x(w: Weights, x: Doubles) -> Doubles:
    """W x + b, the product normalised where the layer is."""
    product = x @ w["weight_ih"].T
    if "gain_ih" in w:
        return layer_norm(product, w["gain_ih"], w["bias_ih"])
    return product + w["bias_ih"]


def _of_h(w: Weights, h: Doubles, rows: slice = slice(None)) -> Doubles:
    """R h + b of some gates' rows, the product normalised where the layer is."""
    product = h @ w["weight_hh"][rows].T
    if "gain_hh" in w:
        return layer_norm(product, w["gain_hh"][rows], w["bias_hh"][rows])
    return product + w["bias_hh"][rows]


def _memory(w: Weights, c: Doubles) -> Doubles:
    """What the output gate lets through: tanh of c, which is normalised where the layer is."""
    return np.tanh(layer_norm(c, w["gain_c"], w["shift_c"]) if "gain_c" in w else c)


def _rnn_tanh(w: Weights, x: Doubles, h: Doubles) -> list[Doubles]:
    return [np.tanh(_of_x(w, x) + _of_h(w, h))]


def _rnn_relu(w: Weights, x: Doubles, h: Doubles) -> list[Doubles]:
    return [np.maximum(_of_x(w, x) + _of_h(w, h), 0)]


def _lstm(w: Weights, x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    i, f, g, o = np.split(_of_x(w, x) + _of_h(w, h), 4, axis=1)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * _memory(w, c), c]


def _peephole_lstm(w: Weights, x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    p_i, p_f, p_o = w["peephole"]
    i, f, g, o = np.split(_of_x(w, x) + _of_h(w, h), 4, axis=1)
    new = _sigmoid(f + p_f * c) * c + _sigmoid(i + p_i * c) * np.tanh(g)
    return [_sigmoid(o + p_o * new) * _memory(w, new), new]


def _cifg_lstm(w: Weights, x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    i, g, o = np.split(_of_x(w, x) + _of_h(w, h), 3, axis=1)
    c = (1 - _sigmoid(i)) * c + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * _memory(w, c), c]


def _cifg_peephole_lstm(w: Weights, x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    p_i, p_o = w["peephole"]
    i, g, o = np.split(_of_x(w, x) + _of_h(w, h), 3, axis=1)
    opened = _sigmoid(i + p_i * c)
    new = (1 - opened) * c + opened * np.tanh(g)
    return [_sigmoid(o + p_o * new) * _memory(w, new), new]


def _gru(w: Weights, x: Doubles, h: Doubles) -> list[Doubles]:
    x_r, x_z, x_n = np.split(_of_x(w, x), 3, axis=1)
    h_r, h_z, h_n = np.split(_of_h(w, h), 3, axis=1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * h_n)
    return [(1 - z) * n + z * h]


def _gru_reset_before(w: Weights, x: Doubles, h: Doubles) -> list[Doubles]:
    two = 2 * h.shape[1]
    x_r, x_z, x_n = np.split(_of_x(w, x), 3, axis=1)
    h_r, h_z = np.split(_of_h(w, h, slice(None, two)), 2, axis=1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = np.tanh(x_n + _of_h(w, r * h, slice(two, None)))
    return [(1 - z) * n + z * h]


_STEPS = {
    "rnn_tanh": _rnn_tanh,
    "rnn_relu": _rnn_relu,
    "lstm": _lstm,
    "peephole_lstm": _peephole_lstm,
    "cifg_lstm": _cifg_lstm,
    "cifg_peephole_lstm": _cifg_peephole_lstm,
    "gru": _gru,
    "gru_reset_before": _gru_reset_before,
}
