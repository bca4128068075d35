"""The recurrent cells: each a layer from x [T, B, I] and a state to y [T, B, H] and a state.

`rnn_tanh`, `rnn_relu`, `lstm` and `gru` are torch's own fused layers; `peephole_lstm` is written
out here with its own backward pass. A state is a tuple of [B, H]: (h,), or (h, c) for the LSTMs.
Must not know: embeddings, heads, ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from training.config import Cell

State = tuple[Tensor, ...]
"""What one layer carries from token to token: (h_BH,) or (h_BH, c_BH)."""


class Layer(nn.Module):
    """One recurrent layer; the weights are torch's, rows stacked gate by gate.

    `weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` and `bias_hh` [G*H], where the G gates
    are those of `gates`, in that order.
    """

    gates: str
    has_cell_state = False
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def initial_state(self, batch: int) -> State:
        """A state of zeros for `batch` streams."""
        zeros_BH = self.weight_hh.new_zeros(batch, self.weight_hh.shape[1])
        return (zeros_BH, zeros_BH) if self.has_cell_state else (zeros_BH,)


class TorchLayer(Layer):
    """A layer that runs on one of torch's own: nn.RNN, nn.LSTM or nn.GRU.

    - RNN:  h = f(W x + R h + b), f being tanh or relu (Elman 1990; Le 2015 for relu).
    - LSTM: i, f, o = sigmoid(W x + R h + b), g = tanh(W x + R h + b); c = f*c + i*g;
      h = o * tanh(c) (Gers 2000), gates in torch's order i, f, g, o.
    - GRU:  r, z = sigmoid(W x + R h + b), n = tanh(W x + b + r * (R h + b));
      h = (1 - z) * n + z * h (Cho 2014, reset after the product), gates in the order r, z, n.
    """

    def __init__(self, inner: nn.RNNBase, gates: str) -> None:
        """Take over a single-layer torch module."""
        super().__init__()
        self.inner = inner
        self.gates = gates
        self.has_cell_state = isinstance(inner, nn.LSTM)
        if len(gates) > 1:
            _keep_at_start(self)

    @property
    def weight_ih(self) -> Tensor:  # type: ignore[override]  # torch's name has a layer suffix
        """Input weights [G*H, I]."""
        return _tensor(self.inner.weight_ih_l0)

    @property
    def weight_hh(self) -> Tensor:  # type: ignore[override]  # torch's name has a layer suffix
        """Recurrent weights [G*H, H]."""
        return _tensor(self.inner.weight_hh_l0)

    @property
    def bias_ih(self) -> Tensor:  # type: ignore[override]  # torch's name has a layer suffix
        """Input bias [G*H]."""
        return _tensor(self.inner.bias_ih_l0)

    @property
    def bias_hh(self) -> Tensor:  # type: ignore[override]  # torch's name has a layer suffix
        """Recurrent bias [G*H]."""
        return _tensor(self.inner.bias_hh_l0)

    def forward(self, x_TBI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over T tokens; y [T, B, H] and the state after the last."""
        if self.has_cell_state:
            h_BH, c_BH = state
            y_TBH, (h_1BH, c_1BH) = self.inner(x_TBI, (h_BH[None], c_BH[None]))
            return y_TBH, (h_1BH[0], c_1BH[0])
        y_TBH, h_1BH = self.inner(x_TBI, state[0][None])
        return y_TBH, (h_1BH[0],)


class PeepholeLSTM(Layer):
    """LSTM whose gates see the memory cell (Gers 2002, equations 1 to 6; ONNX LSTM input P).

    i = sigmoid(W x + R h + b + p_i * c)          with c of the step before
    f = sigmoid(W x + R h + b + p_f * c)          likewise
    g = tanh(W x + R h + b)
    c = f * c + i * g
    o = sigmoid(W x + R h + b + p_o * c)          with the new c
    h = o * tanh(c)

    Gates lie in torch's order i, f, g, o; `peephole` [3, H] in the order i, f, o.
    """

    gates = "ifgo"
    has_cell_state = True

    def __init__(self, inputs: int, hidden: int) -> None:
        """Start as torch's LSTM does: uniform in +-1/sqrt(H), the forget gate open."""
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden))
        self.peephole = nn.Parameter(torch.empty(3, hidden))
        bound = 1 / math.sqrt(hidden)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        _keep_at_start(self)

    def forward(self, x_TBI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over T tokens; y [T, B, H] and the state after the last."""
        bias = self.bias_ih + self.bias_hh
        weights = (self.weight_ih, self.weight_hh, bias, self.peephole)
        x_TBI = x_TBI.to(bias.dtype)
        with torch.autocast(x_TBI.device.type, enabled=False):  # in place, so in one type
            # torch leaves `apply` unannotated
            y_TBH, *last = _PeepholeFunction.apply(x_TBI, *state, *weights)  # type: ignore[no-untyped-call]
        return y_TBH, tuple(last)


class _PeepholeFunction(torch.autograd.Function):
    """The peephole LSTM over a window, with one matrix product a step each way.

    The input products of all steps are one product before the loop, and every weight gradient is
    one product after it, which is what makes it nearly as fast as torch's own LSTM.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h0: Tensor, c0: Tensor, W: Tensor, R: Tensor, b: Tensor, P: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        T, B, H = len(x), *h0.shape
        a_TBG = torch.addmm(b, x.reshape(T * B, -1), W.t()).view(T, B, 4 * H)
        h_TBH = x.new_empty(T + 1, B, H)
        c_TBH = x.new_empty(T + 1, B, H)
        h_TBH[0], c_TBH[0] = h0, c0
        p_i, p_f, p_o = P
        R_t = R.t()
        for t in range(T):
            c = c_TBH[t]
            a = a_TBG[t].addmm_(h_TBH[t], R_t)
            i, f, g, o = a.split(H, dim=1)
            i.addcmul_(p_i, c).sigmoid_()
            f.addcmul_(p_f, c).sigmoid_()
            g.tanh_()
            torch.mul(f, c, out=c_TBH[t + 1])
            c_new = c_TBH[t + 1].addcmul_(i, g)
            o.addcmul_(p_o, c_new).sigmoid_()
            torch.mul(o, c_new.tanh(), out=h_TBH[t + 1])
        ctx.save_for_backward(x, W, R, P, a_TBG, h_TBH, c_TBH)
        return h_TBH[1:], h_TBH[T].clone(), c_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TBH: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor, ...]:
        x, W, R, P, gates_TBG, h_TBH, c_TBH = ctx.saved_tensors
        T, B, H = dy_TBH.shape
        p_i, p_f, p_o = P
        da_TBG = torch.empty_like(gates_TBG)
        tanh_c_TBH = c_TBH[1:].tanh()
        for t in reversed(range(T)):
            i, f, g, o = gates_TBG[t].split(H, dim=1)
            da_i, da_f, da_g, da_o = da_TBG[t].split(H, dim=1)
            dh = dh + dy_TBH[t]
            tanh_c, c_prev = tanh_c_TBH[t], c_TBH[t]
            torch.mul(dh * tanh_c, o * (1 - o), out=da_o)
            dc = dc + dh * o * (1 - tanh_c * tanh_c) + da_o * p_o
            torch.mul(dc * g, i * (1 - i), out=da_i)
            torch.mul(dc * c_prev, f * (1 - f), out=da_f)
            torch.mul(dc * i, 1 - g * g, out=da_g)
            dc = dc * f + da_i * p_i + da_f * p_f
            dh = da_TBG[t] @ R
        da = da_TBG.view(T * B, 4 * H)
        da_i_TBH, da_f_TBH, _, da_o_TBH = da_TBG.split(H, dim=2)
        c_before, c_after = c_TBH[:-1], c_TBH[1:]
        dP = torch.stack(
            [
                (da_i_TBH * c_before).sum((0, 1)),
                (da_f_TBH * c_before).sum((0, 1)),
                (da_o_TBH * c_after).sum((0, 1)),
            ]
        )
        dx = (da @ W).view_as(x)
        dW = da.t() @ x.reshape(T * B, -1)
        dR = da.t() @ h_TBH[:-1].reshape(T * B, H)
        return dx, dh, dc, dW, dR, da.sum(0), dP


def _tensor(parameter: Tensor | nn.Module) -> Tensor:
    """Tell the type checker that what a module calls a weight is a tensor."""
    assert isinstance(parameter, Tensor)
    return parameter


def _keep_at_start(layer: Layer) -> None:
    """Start the LSTM's forget gate, or the GRU's update gate, at 1: keep the memory.

    Both are the second of their gates (Jozefowicz 2015 for the LSTM).
    """
    hidden = layer.weight_hh.shape[1]
    with torch.no_grad():
        layer.bias_ih[hidden : 2 * hidden] = 1.0


_BUILDERS: dict[Cell, Callable[[int, int], Layer]] = {
    "rnn_tanh": lambda inputs, hidden: TorchLayer(nn.RNN(inputs, hidden), "h"),
    "rnn_relu": lambda inputs, hidden: TorchLayer(nn.RNN(inputs, hidden, nonlinearity="relu"), "h"),
    "lstm": lambda inputs, hidden: TorchLayer(nn.LSTM(inputs, hidden), "ifgo"),
    "peephole_lstm": PeepholeLSTM,
    "gru": lambda inputs, hidden: TorchLayer(nn.GRU(inputs, hidden), "rzn"),
}


def build_layer(cell: Cell, inputs: int, hidden: int) -> Layer:
    """A fresh layer of the named cell, from `inputs` to `hidden` features."""
    return _BUILDERS[cell](inputs, hidden)
