"""Nets of one memory cell and one output, many side by side, with their derivatives in step.

The cell is the LSTM of `models/cells.py` with the identity in both places of tanh (Gers 2002). As
it is a single one, its derivatives by all weights are two numbers a weight, c's and h's, which are
carried forward in time: real-time recurrent learning (Williams & Zipser 1989), the whole gradient,
the same as by back-propagation through the whole stream. No operation mixes nets, so a net comes
out the same, bit for bit, whatever runs beside it. Axes: S what a gate sees (h of the step before,
1, c), K the gates i, f, g, o, P all weights, N the nets.
Must not know: targets, errors, how weights are learnt.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

_I, _F, _G, _O = range(4)
_H, _ONE, _C = range(3)
_CELL_WEIGHTS = 3 * 4
WEIGHTS = _CELL_WEIGHTS + 2
"""Rows of a net's weights: those of the cell, S by K, then the output's weight and bias."""
_OUTPUT_WEIGHT, _OUTPUT_BIAS = _CELL_WEIGHTS, _CELL_WEIGHTS + 1
_START_BOUND = 0.1
_START_BIASES = {_I: 0.0, _F: -2.0, _O: 2.0}
"""As in the paper, like the bound of all other weights."""


def used_weights(*, peepholes: bool) -> NDArray[np.bool_]:
    """Which of the weights [P] a net has; the others stay zero. g never sees c."""
    used_P = np.ones(WEIGHTS, bool)
    used_SK = used_P[:_CELL_WEIGHTS].reshape(3, 4)
    used_SK[_C] = peepholes
    used_SK[_C, _G] = False
    return used_P


def fresh_weights(seed: int, *, peepholes: bool) -> Doubles:
    """The weights [P] that a seed begins with, the same ones with peepholes and without."""
    weights_P = np.random.default_rng(seed).uniform(-_START_BOUND, _START_BOUND, WEIGHTS)
    for gate, bias in _START_BIASES.items():
        weights_P[:_CELL_WEIGHTS].reshape(3, 4)[_ONE, gate] = bias
    return np.where(used_weights(peepholes=peepholes), weights_P, 0.0)


class Streams:
    """Where N nets are in their streams, and how that depends on their weights."""

    def __init__(self, nets: int) -> None:
        """Before the first step."""
        self._all_RN = np.zeros((2 + 2 * _CELL_WEIGHTS, nets))
        self.h_N, self.c_N = self._all_RN[:2]
        self.dh_SKN, self.dc_SKN = self._all_RN[2:].reshape(2, 3, 4, nets)
        """The derivatives of h and of c by each weight of the cell."""

    def restart(self, nets: NDArray[np.intp]) -> None:
        """Begin some nets' streams anew."""
        self._all_RN[:, nets] = 0

    def advance(self, weights_PN: Doubles) -> Doubles:
        """Take one step and return what each net sends to its output's squashing [N]."""
        w_SKN = _cell(weights_PN)
        h, c, dh, dc = self.h_N, self.c_N, self.dh_SKN, self.dc_SKN
        (i, f, g), c_new, o, h_new = _step(w_SKN, h, c)
        moves_KN = np.stack([i * g * (1 - i), c * f * (1 - f), i])  # c_new by the sums of i, f, g
        by_i, by_f, by_g = moves_KN
        dc *= f + by_i * w_SKN[_C, _I] + by_f * w_SKN[_C, _F]
        dc += dh * (by_i * w_SKN[_H, _I] + by_f * w_SKN[_H, _F] + by_g * w_SKN[_H, _G])
        for source, seen in ((_H, h), (_ONE, 1.0), (_C, c)):
            dc[source, :_O] += moves_KN * seen
        by_o = h_new * (1 - o)  # h_new by the sum of o
        dh *= by_o * w_SKN[_H, _O]
        dh += dc * (o + by_o * w_SKN[_C, _O])
        for source, seen in ((_H, h), (_ONE, 1.0), (_C, c_new)):
            dh[source, _O] += by_o * seen
        h[:], c[:] = h_new, c_new
        return _output(weights_PN, h_new)

    def add_gradient(self, gradient_PN: Doubles, weights_PN: Doubles, by_output_N: Doubles) -> None:
        """Add the derivative of what has the derivative `by_output_N` by the outputs."""
        by_h_N = by_output_N * weights_PN[_OUTPUT_WEIGHT]
        _cell(gradient_PN)[...] += self.dh_SKN * by_h_N
        gradient_PN[_OUTPUT_WEIGHT] += by_output_N * self.h_N
        gradient_PN[_OUTPUT_BIAS] += by_output_N


def play(weights_PN: Doubles, steps: int) -> Doubles:
    """Let nets run on their own; what they send to their outputs' squashing [T, N]."""
    nets = weights_PN.shape[1]
    h, c = np.zeros((2, nets))
    sums_TN = np.empty((steps, nets))
    for t in range(steps):
        _, c, _, h = _step(_cell(weights_PN), h, c)
        sums_TN[t] = _output(weights_PN, h)
    return sums_TN


def sigmoid(a: Doubles) -> Doubles:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-a)))


def _cell(weights_PN: Doubles) -> Doubles:
    """The cell's part of the weights, as a view [S, K, N]."""
    return weights_PN[:_CELL_WEIGHTS].reshape(3, 4, -1)


def _step(w_SKN: Doubles, h: Doubles, c: Doubles) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """The gates i, f and g [3, N], the new c, o and the new h."""
    gates_KN = w_SKN[_H, :_O] * h + w_SKN[_ONE, :_O] + w_SKN[_C, :_O] * c
    gates_KN[:_G] = sigmoid(gates_KN[:_G])
    i, f, g = gates_KN
    c_new = f * c + i * g
    o = sigmoid(w_SKN[_H, _O] * h + w_SKN[_ONE, _O] + w_SKN[_C, _O] * c_new)
    return gates_KN, c_new, o, o * c_new


def _output(weights_PN: Doubles, h: Doubles) -> Doubles:
    sums_N: Doubles = weights_PN[_OUTPUT_WEIGHT] * h + weights_PN[_OUTPUT_BIAS]
    return sums_N
