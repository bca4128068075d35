"""Softmax cross entropy over a large vocabulary, with the head's matrix product inside.

Must not know: recurrent layers, corpora.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, linear

from training.regularize import zipf_shares

_ROWS = 512
"""Tokens handled at once: their logits stay in the processor's cache."""


def linear_cross_entropy(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_N: Tensor, dtype: torch.dtype
) -> Tensor:
    """Mean of -log softmax(hidden @ weight.T + bias)[target]; a scalar, in nats a token.

    The products run in `dtype`. Logits and their gradient are made and used up a few hundred
    tokens at a time, so that [N, V] never lies in memory whole.
    """
    arguments = hidden_ND, weight_VD, bias_V, targets_N, dtype
    if not torch.is_grad_enabled():
        return _value_only(*arguments)
    # torch leaves `apply` unannotated
    loss: Tensor = _LinearCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return loss


def sampled_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor,
    targets_N: Tensor,
    samples: int,
    dtype: torch.dtype,
) -> Tensor:
    """Cross entropy over a sample of the vocabulary, an estimate of the whole (Jean 2015).

    The softmax is over the targets and `samples` draws by Zipf's law, which ids sorted by frequency
    follow; each logit is lessened by the log of its word's chance to be among them, so that common
    words are not pushed down for being drawn often. The targets count as further draws.
    """
    shares_V = zipf_shares(len(weight_VD)).to(hidden_ND.device)
    drawn = torch.multinomial(shares_V, samples, replacement=True)
    words_C, places = torch.unique(torch.cat([targets_N, drawn]), return_inverse=True)
    draws = len(targets_N) + samples
    log_chance_C = torch.log(-torch.expm1(draws * torch.log1p(-shares_V[words_C])))
    return linear_cross_entropy(
        hidden_ND,
        weight_VD[words_C],
        bias_V[words_C] - log_chance_C,
        places[: len(targets_N)],
        dtype,
    )


def _value_only(h_ND: Tensor, W_VD: Tensor, b_V: Tensor, y_N: Tensor, dtype: torch.dtype) -> Tensor:
    W_VD, b_V = W_VD.to(dtype), b_V.to(dtype)
    total = h_ND.new_zeros(())
    for h, target in zip(h_ND.to(dtype).split(_ROWS), y_N.split(_ROWS), strict=True):
        total += cross_entropy(linear(h, W_VD, b_V).float(), target, reduction="sum")
    return total / len(y_N)


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes its gradients in the forward pass, while the softmax is at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        h_ND, W_VD, b_V = hidden.to(dtype), weight.to(dtype), bias.to(dtype)
        dh, dW, db = torch.empty_like(hidden), torch.zeros_like(weight), torch.zeros_like(bias)
        total = hidden.new_zeros(())
        for h, target, dh_rows in zip(
            h_ND.split(_ROWS), targets.split(_ROWS), dh.split(_ROWS), strict=True
        ):
            z = linear(h, W_VD, b_V)
            p = torch.softmax(z, dim=-1)
            rows = torch.arange(len(h), device=h.device)
            total += _surprise(z, p[rows, target].to(total.dtype), target)
            p[rows, target] -= 1
            dh_rows.copy_(p @ W_VD)
            dW += p.t() @ h
            db += h.new_ones(len(h)) @ p  # a product is quicker than a sum over rows
        ctx.save_for_backward(dh, dW, db)
        ctx.count = len(targets)
        return total / len(targets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        scale = d_loss / ctx.count
        dh, dW, db = (gradient * scale for gradient in ctx.saved_tensors)
        return dh, dW, db, None, None


def _surprise(z_NV: Tensor, p_N: Tensor, targets_N: Tensor) -> Tensor:
    """Sum of -log p of the targets; from the logits where p is too small for a number."""
    if z_NV.device.type != "cpu":  # a GPU would have to wait to tell whether any p is
        return cross_entropy(z_NV.to(p_N.dtype), targets_N, reduction="sum")
    lost = p_N == 0
    if lost.any():
        z = z_NV[lost].to(p_N.dtype)
        return -p_N[~lost].log().sum() + cross_entropy(z, targets_N[lost], reduction="sum")
    return -p_N.log().sum()
