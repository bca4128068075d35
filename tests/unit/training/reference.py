"""Each cell's equations in plain numpy, one token at a time: what the fast ones are held against.

Written from the papers' equations, not from the code under test. No tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def run(cell: str, weights: dict[str, Doubles], x_TBI: Doubles, state: list[Doubles]) -> Any:
    """The outputs [T, B, H] and the last state of a layer whose weights are torch's."""
    outputs = []
    for x_BI in x_TBI:
        state = _STEPS[cell](weights, x_BI, *state)
        outputs.append(state[0])
    return np.stack(outputs), state


def _sigmoid(a: Doubles) -> Doubles:
    return 1 / (1 + np.exp(-a))


def _gates(w: dict[str, Doubles], x: Doubles, h: Doubles, count: int) -> list[Doubles]:
    a = x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    return np.split(a, count, axis=1)


def _rnn_tanh(w: dict[str, Doubles], x: Doubles, h: Doubles) -> list[Doubles]:
    return [np.tanh(_gates(w, x, h, 1)[0])]


def _rnn_relu(w: dict[str, Doubles], x: Doubles, h: Doubles) -> list[Doubles]:
    return [np.maximum(_gates(w, x, h, 1)[0], 0)]


def _gru(w: dict[str, Doubles], x: Doubles, h: Doubles) -> list[Doubles]:
    x_r, x_z, x_n = np.split(x @ w["weight_ih"].T + w["bias_ih"], 3, axis=1)
    h_r, h_z, h_n = np.split(h @ w["weight_hh"].T + w["bias_hh"], 3, axis=1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * h_n)
    return [(1 - z) * n + z * h]


def _lstm(w: dict[str, Doubles], x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    i, f, g, o = _gates(w, x, h, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return [_sigmoid(o) * np.tanh(c), c]


def _peephole_lstm(w: dict[str, Doubles], x: Doubles, h: Doubles, c: Doubles) -> list[Doubles]:
    p_i, p_f, p_o = w["peephole"]
    i, f, g, o = _gates(w, x, h, 4)
    new = _sigmoid(f + p_f * c) * c + _sigmoid(i + p_i * c) * np.tanh(g)
    return [_sigmoid(o + p_o * new) * np.tanh(new), new]


_STEPS = {
    "rnn_tanh": _rnn_tanh,
    "rnn_relu": _rnn_relu,
    "lstm": _lstm,
    "peephole_lstm": _peephole_lstm,
    "gru": _gru,
}
