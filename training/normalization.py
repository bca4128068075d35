"""What can be normalised in a recurrent layer: its input products by batch, its sums by layer.

Must not know: cells by name, how weights are trained or exported.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from models.cells import CellKind, Gates, StepInputs

EPSILON = 1e-5
_MOMENTUM = 0.1


class _Torch:
    """torch's functions, for the equations."""

    sigmoid = staticmethod(torch.sigmoid)
    tanh = staticmethod(torch.tanh)
    relu = staticmethod(torch.relu)


_TORCH = _Torch()


class InputBatchNorm(nn.Module):
    """Batch normalisation of W x, over all steps and rows (Laurent 2015; Cooijmans 2016).

    It scales and shifts each row of W x, so it is carried out on W and b themselves: whatever runs
    the layer needs to know nothing of it, in training or when it is exported.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, rows: int) -> None:
        """Start with gains of 0.1, so that no gate saturates (Cooijmans 2016, section 4)."""
        super().__init__()
        self.gain = nn.Parameter(torch.full((rows,), 0.1))
        self.register_buffer("running_mean", torch.zeros(rows))
        self.register_buffer("running_var", torch.ones(rows))

    def fold(self, W: Tensor, b: Tensor, x_TBI: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """W [G*H, I] and b [G*H] that make W x + b what it is when normalised.

        In training the statistics are those of `x`, and gradients flow through them; in evaluation
        they are the running ones.
        """
        if self.training and x_TBI is not None:
            a = linear(x_TBI.to(W.dtype), W).flatten(0, 1).to(b.dtype)  # autocast makes it bfloat16
            mean, var = a.mean(0), a.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean), _MOMENTUM)
                self.running_var.lerp_(var.to(self.running_var), _MOMENTUM)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.gain * torch.rsqrt(var + EPSILON)
        return W * scale[:, None], b - mean * scale


class LayerNorms(nn.Module):
    """Layer normalisation of W x, of R h, and of c on its way into h (Ba 2016, equations 20 to 31).

    Each product has a gain of its own, the layer's biases being the shifts; c has both.
    """

    def __init__(self, kind: CellKind, hidden: int) -> None:
        """Start with gains of 1 and shifts of 0."""
        super().__init__()
        self.kind = kind
        rows = len(kind.gates) * hidden
        self.gain_ih = nn.Parameter(torch.ones(rows))
        self.gain_hh = nn.Parameter(torch.ones(rows))
        if kind.has_cell_state:
            self.gain_c = nn.Parameter(torch.ones(hidden))
            self.shift_c = nn.Parameter(torch.zeros(hidden))

    def run(
        self,
        x_TBI: Tensor,
        state: tuple[Tensor, ...],
        W: Tensor,
        R: Tensor,
        b_W: Tensor,
        b_R: Tensor,
        P: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over T tokens, a step of the cell's equation each; y [T, B, H] and the last state."""
        x_TBG = layer_norm(linear(x_TBI, W), b_W.shape, self.gain_ih, b_W, EPSILON)
        recurrent = self._recurrent(R, b_R)
        peepholes = {} if P is None else dict(zip(self.kind.peepholes, P, strict=True))
        outputs = []
        for x_BG in x_TBG:
            x = dict(zip(self.kind.gates, x_BG.chunk(len(self.kind.gates), dim=1), strict=True))
            inputs = StepInputs(x, state, recurrent, peepholes, self._normalize_cell)
            state = self.kind.equation(_TORCH, inputs).state
            outputs.append(state[0])
        return torch.stack(outputs), state

    def _recurrent(self, R: Tensor, b_R: Tensor) -> Callable[[Tensor, str], Gates[Tensor]]:
        """R h + b of the gates that are one product, normalised together."""
        sizes = [len(gates) * R.shape[1] for gates in self.kind.products]
        parts = zip(R.split(sizes), self.gain_hh.split(sizes), b_R.split(sizes), strict=True)
        by_gates = dict(zip(self.kind.products, parts, strict=True))

        def product(h: Tensor, gates: str) -> Gates[Tensor]:
            R, gain, shift = by_gates[gates]
            sums = layer_norm(linear(h, R), shift.shape, gain, shift, EPSILON)
            return dict(zip(gates, sums.chunk(len(gates), dim=1), strict=True))

        return product

    def _normalize_cell(self, c: Tensor) -> Tensor:
        return layer_norm(c, self.gain_c.shape, self.gain_c, self.shift_c, EPSILON)
