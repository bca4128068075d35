"""The recurrent layers: from x [T, B, I] and a state to y [T, B, H] and a state.

`rnn_tanh`, `rnn_relu`, `lstm` and `gru` run on torch's own fused kernels, the other cells on the
hand-written passes, layer-normalised ones step by step on the equations of `models.cells`. A state
is a tuple of [B, H]: (h,), or (h, c) for the LSTMs.
Must not know: embeddings, heads, ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.cells import CELLS, CellKind
from training.config import Cell, Normalization, Start
from training.normalization import InputBatchNorm, LayerNorms
from training.passes import GruPass, LstmPass
from training.regularize import drop_weights

State = tuple[Tensor, ...]
"""What one layer carries from token to token: (h_BH,) or (h_BH, c_BH)."""


class Weights(NamedTuple):
    """A layer's weights, rows stacked gate by gate in the order of its cell's `gates`."""

    W: Tensor
    """Of the input, [G*H, I]."""
    R: Tensor
    """Of h, [G*H, H]."""
    b_W: Tensor
    """[G*H]."""
    b_R: Tensor
    """[G*H]; a bias of its own only where a GRU resets behind the product."""
    P: Tensor | None
    """Peepholes, a row [H] for each gate that has one."""


class Layer(nn.Module):
    """One recurrent layer of any cell.

    The parameters are `weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` and `bias_hh` [G*H], as
    in torch, and `peephole` [P, H]; `norm` holds those of a normalisation.
    """

    peephole: nn.Parameter | None

    def __init__(
        self,
        cell: Cell,
        inputs: int,
        hidden: int,
        normalization: Normalization = "none",
        start: Start = "uniform",
        weight_drop: float = 0.0,
    ) -> None:
        """Start as torch does, uniform in +-1/sqrt(H), but with gates that keep the memory."""
        super().__init__()
        self.cell: Cell = cell
        self.weight_drop = weight_drop
        """Share of the recurrent weights that is dropped for each window in training."""
        self.kind: CellKind = CELLS[cell]
        self._run = _RUN[cell]
        rows = len(self.kind.gates) * hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        peepholes = len(self.kind.peepholes)
        self.peephole = nn.Parameter(torch.empty(peepholes, hidden)) if peepholes else None
        bound = 1 / math.sqrt(hidden)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        _keep_at_start(self)
        if start == "identity":
            _start_as_identity(self)
        self.norm: InputBatchNorm | LayerNorms | None = None
        if normalization == "batch":
            self.norm = InputBatchNorm(rows)
        elif normalization == "layer":
            self.norm = LayerNorms(self.kind, hidden)

    @property
    def gates(self) -> str:
        """The gates in the order in which the weights stack them."""
        return self.kind.gates

    @property
    def hidden(self) -> int:
        """H, the width of the state."""
        return self.weight_hh.shape[1]

    def initial_state(self, batch: int) -> State:
        """A state of zeros for `batch` streams."""
        zeros_BH = self.weight_hh.new_zeros(batch, self.hidden)
        return (zeros_BH, zeros_BH) if self.kind.has_cell_state else (zeros_BH,)

    def forward(self, x_TBI: Tensor, state: State) -> tuple[Tensor, State]:
        """Run over T tokens; y [T, B, H] and the state after the last."""
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.peephole)
        if self.training and self.weight_drop:
            weights = weights._replace(R=drop_weights(weights.R, self.weight_drop))
        if isinstance(self.norm, LayerNorms):
            return self.norm.run(x_TBI, state, *weights)
        if isinstance(self.norm, InputBatchNorm):
            W, b_W = self.norm.fold(weights.W, weights.b_W, x_TBI)
            weights = weights._replace(W=W, b_W=b_W)
        return self._run(x_TBI, state, weights)

    def keep_kernel_whole(self) -> None:
        """Let torch.compile call the kernel and not unroll it token by token, which is slower."""
        self._run = torch.compiler.disable(_RUN[self.cell])

    @torch.no_grad()
    def fold(self) -> None:
        """Put a batch normalisation's running statistics into the weights, for good."""
        if isinstance(self.norm, InputBatchNorm):
            W, b_W = self.norm.eval().fold(self.weight_ih, self.bias_ih)
            self.weight_ih.copy_(W)
            self.bias_ih.copy_(b_W)
            self.norm = None


def _keep_at_start(layer: Layer) -> None:
    """Start with gates that keep the memory (Jozefowicz 2015 for the LSTM's forget gate at 1).

    Likewise the GRU's update gate, and the input gate at -1 where it is all there is to forget by.
    """
    biases = dict(zip(layer.gates, layer.bias_ih.detach().split(layer.hidden), strict=True))
    keeping, bias = {"ifgo": ("f", 1.0), "igo": ("i", -1.0), "rzn": ("z", 1.0)}.get(
        layer.gates, (None, 0.0)
    )
    if keeping is not None:
        biases[keeping].fill_(bias)


@torch.no_grad()
def _start_as_identity(layer: Layer) -> None:
    """Begin by repeating h: recurrent weights the identity, no bias, small inputs (Le 2015)."""
    nn.init.eye_(layer.weight_hh)
    nn.init.normal_(layer.weight_ih, std=0.001)
    layer.bias_ih.zero_()
    layer.bias_hh.zero_()


def _run_torch(
    kernel: Callable[..., tuple[Tensor, ...]],
) -> Callable[[Tensor, State, Weights], tuple[Tensor, State]]:
    """One of torch's fused kernels, as nn.RNN, nn.LSTM and nn.GRU call it."""

    def run(x_TBI: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
        if x_TBI.is_cuda and torch.is_autocast_enabled("cuda"):
            with torch.autocast("cuda", enabled=False):  # it knows but float16 for cuDNN's kernels
                return run(*_in_type(torch.get_autocast_dtype("cuda"), x_TBI, state, weights))
        state_1BH = [part[None] for part in state]
        y_TBH, *last_1BH = kernel(
            x_TBI,
            state_1BH if len(state) == 2 else state_1BH[0],
            list(weights[:4]),
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=False,
        )
        return y_TBH, tuple(part[0] for part in last_1BH)

    return run


def _in_type(
    dtype: torch.dtype, x: Tensor, state: State, weights: Weights
) -> tuple[Tensor, State, Weights]:
    """What a kernel reads, all of it in one type; peepholes, which none reads, left out."""
    W, R, b_W, b_R = (weight.to(dtype) for weight in weights[:4])
    return x.to(dtype), tuple(part.to(dtype) for part in state), Weights(W, R, b_W, b_R, None)


def _run_lstm(x_TBI: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """The hand-written LSTM pass; without peepholes it gets some of zeros."""
    W, R, b, P = *_in_product_type(weights), weights.P
    if P is None:
        P = b.new_zeros(R.shape[0] // R.shape[1] - 1, R.shape[1])
    with torch.autocast(x_TBI.device.type, enabled=False):
        # torch leaves `apply` unannotated
        y_TBH, *last = LstmPass.apply(x_TBI.to(b.dtype), *state, W, R, b, P)  # type: ignore[no-untyped-call]
    return y_TBH, tuple(last)


def _run_gru(x_TBI: Tensor, state: State, weights: Weights) -> tuple[Tensor, State]:
    """The hand-written pass of the GRU that resets before the product."""
    W, R, b = _in_product_type(weights)
    with torch.autocast(x_TBI.device.type, enabled=False):
        # torch leaves `apply` unannotated
        y_TBH, last = GruPass.apply(x_TBI.to(b.dtype), *state, W, R, b)  # type: ignore[no-untyped-call]
    return y_TBH, (last,)


def _in_product_type(weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """W and R in the type that products run in under autocast, and the sum of the biases."""
    W, R, b_W, b_R, _ = weights
    if torch.is_autocast_enabled(W.device.type):
        dtype = torch.get_autocast_dtype(W.device.type)
        W, R = W.to(dtype), R.to(dtype)
    return W, R, b_W + b_R


_RUN: dict[Cell, Callable[[Tensor, State, Weights], tuple[Tensor, State]]] = {
    "rnn_tanh": _run_torch(torch.rnn_tanh),
    "rnn_relu": _run_torch(torch.rnn_relu),
    "lstm": _run_torch(torch.lstm),
    "peephole_lstm": _run_lstm,
    "cifg_lstm": _run_lstm,
    "cifg_peephole_lstm": _run_lstm,
    "gru": _run_torch(torch.gru),
    "gru_reset_before": _run_gru,
}


def build_layer(
    cell: Cell,
    inputs: int,
    hidden: int,
    *,
    normalization: Normalization = "none",
    start: Start = "uniform",
    weight_drop: float = 0.0,
) -> Layer:
    """A fresh layer of the named cell, from `inputs` to `hidden` features."""
    return Layer(cell, inputs, hidden, normalization, start, weight_drop)
