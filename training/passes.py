"""Hand-written forward and backward passes of the cells that torch has no fused layer for.

Each takes one product with the recurrent weights a step each way (the GRU two). The input products
of all steps are one product before the loop, every weight gradient is one behind it, and so is all
of the backward pass that does not depend on the step after: what is left in the loop are a few
operations on the gradients themselves. Products run in the type of the weights that are handed in,
everything else in that of x.
Must not know: layers, parameters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class LstmPass(torch.autograd.Function):
    """The peephole LSTM over a window, its forget gate its own or coupled to the input gate.

    Inputs: x [T, B, I], h and c [B, H], W [G*H, I], R [G*H, H], b [G*H], P [G-1, H], where the G
    gates are i, f, g, o, or i, g, o if the forget gate is coupled (f = 1 - i), and P has a row for
    each but g. Outputs: y [T, B, H], the last h and c. Equations: `models.cells`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, c_0: Tensor, W: Tensor, R: Tensor, b: Tensor, P: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all steps; the gates' sums become their activations in place."""
        T, B, H = len(x), *h_0.shape
        coupled = len(P) == 2
        a_TBG = _input_products(x, W, b)
        h_TBH, c_TBH = x.new_empty(T + 1, B, H), x.new_empty(T + 1, B, H)
        tanh_c_TBH = x.new_empty(T, B, H)
        h_TBH[0], c_TBH[0] = h_0, c_0
        R_t, p_o = R.t(), P[-1]
        p_if, see = P[:-1], len(P[:-1]) * H  # i and f see c before the step
        for t in range(T):
            c, c_new = c_TBH[t], c_TBH[t + 1]
            a = a_TBG[t]
            _add_product(a, h_TBH[t], R_t)
            i_f, g, o = a[:, :see], a[:, see:-H], a[:, -H:]
            i_f.unflatten(1, (-1, H)).addcmul_(p_if, c[:, None])
            i_f.sigmoid_()
            g.tanh_()
            if coupled:
                torch.lerp(c, g, i_f, out=c_new)
            else:
                torch.mul(i_f[:, H:], c, out=c_new).addcmul_(i_f[:, :H], g)
            o.addcmul_(p_o, c_new).sigmoid_()
            torch.tanh(c_new, out=tanh_c_TBH[t])
            torch.mul(o, tanh_c_TBH[t], out=h_TBH[t + 1])
        ctx.save_for_backward(x, W, R, P, a_TBG, h_TBH, c_TBH, tanh_c_TBH)
        return h_TBH[1:], h_TBH[T].clone(), c_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TBH: Tensor, dh: Tensor, dc: Tensor) -> tuple[Tensor, ...]:
        """From gradients of the outputs to those of every input.

        In the loop, dc at a step is dc + dh * h_by_c, the sums' gradients are dc or dh times their
        slopes, and dc of the step before is dc * c_by_c.
        """
        x, W, R, P, gates_TBG, h_TBH, c_TBH, tanh_c_TBH = ctx.saved_tensors
        T, B, H = dy_TBH.shape
        c_before, o = c_TBH[:-1], gates_TBG[..., -H:]
        slopes_TBG, c_by_c = _lstm_slopes(gates_TBG, c_before, tanh_c_TBH, P)
        h_by_c = o * (1 - tanh_c_TBH * tanh_c_TBH) + slopes_TBG[..., -H:] * P[-1]
        into_c = slopes_TBG.shape[2] // H - 1
        dc = dc.clone()
        for t in reversed(range(T)):
            dh = dh + dy_TBH[t]
            dc.addcmul_(dh, h_by_c[t])
            da = slopes_TBG[t]  # becomes the gradient in place
            da[:, :-H].view(B, into_c, H).mul_(dc[:, None])
            da[:, -H:].mul_(dh)
            dc.mul_(c_by_c[t])
            dh = _product(da, R)
        da_TBG = slopes_TBG
        seen = [c_before] * (len(P) - 1) + [c_TBH[1:]]
        seeing = [*da_TBG.split(H, dim=2)[: len(P) - 1], da_TBG[..., -H:]]
        dP = torch.stack([(da * c).sum((0, 1)) for da, c in zip(seeing, seen, strict=True)])
        dR = _outer(da_TBG, h_TBH[:-1], R)
        return _product(da_TBG, W), dh, dc, _outer(da_TBG, x, W), dR, da_TBG.sum((0, 1)), dP


def _lstm_slopes(
    gates_TBG: Tensor, c_TBH: Tensor, tanh_c_TBH: Tensor, P: Tensor
) -> tuple[Tensor, Tensor]:
    """How c changes with each gate's sum (h, for o), and with the c before it."""
    H = c_TBH.shape[2]
    slopes_TBG = torch.empty_like(gates_TBG)
    gates, slopes = gates_TBG.split(H, dim=2), slopes_TBG.split(H, dim=2)
    i, g, o = gates[0], gates[-2], gates[-1]
    torch.mul(i, 1 - g * g, out=slopes[-2])
    torch.mul(tanh_c_TBH, o * (1 - o), out=slopes[-1])
    if len(P) == 2:
        torch.mul(g - c_TBH, i * (1 - i), out=slopes[0])
        return slopes_TBG, (1 - i).addcmul_(slopes[0], P[0])
    f = gates[1]
    torch.mul(g, i * (1 - i), out=slopes[0])
    torch.mul(c_TBH, f * (1 - f), out=slopes[1])
    return slopes_TBG, torch.addcmul(f, slopes[0], P[0]).addcmul_(slopes[1], P[1])


class GruPass(torch.autograd.Function):
    """The GRU that resets before the product, over a window.

    Inputs: x [T, B, I], h [B, H], W [3H, I], R [3H, H], b [3H], gates in the order r, z, n.
    Outputs: y [T, B, H] and the last h. Equations: `models.cells`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, h_0: Tensor, W: Tensor, R: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run all steps; the gates' sums become their activations in place."""
        T, B, H = len(x), *h_0.shape
        a_TBG = _input_products(x, W, b)
        h_TBH, reset_TBH = x.new_empty(T + 1, B, H), x.new_empty(T, B, H)
        h_TBH[0] = h_0
        R_rz, R_n = R[: 2 * H].t(), R[2 * H :].t()
        for t in range(T):
            h, a = h_TBH[t], a_TBG[t]
            r_z, n = a[:, : 2 * H], a[:, 2 * H :]
            _add_product(r_z, h, R_rz)
            r_z.sigmoid_()
            torch.mul(r_z[:, :H], h, out=reset_TBH[t])
            _add_product(n, reset_TBH[t], R_n)
            n.tanh_()
            torch.lerp(n, h, r_z[:, H:], out=h_TBH[t + 1])
        ctx.save_for_backward(x, W, R, a_TBG, h_TBH, reset_TBH)
        return h_TBH[1:], h_TBH[T].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TBH: Tensor, dh: Tensor) -> tuple[Tensor, ...]:
        """From gradients of the outputs to those of every input."""
        x, W, R, gates_TBG, h_TBH, reset_TBH = ctx.saved_tensors
        H = dy_TBH.shape[2]
        r, z, n = gates_TBG.split(H, dim=2)
        h_before = h_TBH[:-1]
        slopes_TBG = torch.cat(
            [h_before * r * (1 - r), (h_before - n) * z * (1 - z), (1 - z) * (1 - n * n)], dim=2
        )
        R_rz, R_n = R[: 2 * H], R[2 * H :]
        for t in reversed(range(len(x))):
            dh = dh + dy_TBH[t]
            da = slopes_TBG[t]  # becomes the gradient in place
            da_r, da_z, da_n = da.split(H, dim=1)
            da_z.mul_(dh)
            da_n.mul_(dh)
            d_reset = _product(da_n, R_n)
            da_r.mul_(d_reset)
            dh = (dh * z[t]).addcmul_(d_reset, r[t])
            _add_product(dh, da[:, : 2 * H], R_rz)
        da_TBG = slopes_TBG
        dR = torch.cat(
            [
                _outer(da_TBG[..., : 2 * H], h_before, R),
                _outer(da_TBG[..., 2 * H :], reset_TBH, R),
            ]
        )
        return _product(da_TBG, W), dh, _outer(da_TBG, x, W), dR, da_TBG.sum((0, 1))


def _product(a: Tensor, M: Tensor) -> Tensor:
    """`a @ M`, in the type of M, given back in that of a."""
    return (a.to(M.dtype) @ M).to(a.dtype)


def _add_product(a: Tensor, b: Tensor, M: Tensor) -> None:
    """`a += b @ M` in place, the product in the type of M."""
    if a.dtype == M.dtype:
        a.addmm_(b, M)
    else:
        a.add_(b.to(M.dtype) @ M)


def _input_products(x_TBI: Tensor, W: Tensor, b: Tensor) -> Tensor:
    """W x + b of all steps, [T, B, G*H]."""
    T, B, _ = x_TBI.shape
    if x_TBI.dtype == W.dtype:
        return torch.addmm(b, x_TBI.reshape(T * B, -1), W.t()).view(T, B, -1)
    return (x_TBI.to(W.dtype) @ W.t()).to(x_TBI.dtype).add_(b)


def _outer(da_TBG: Tensor, inputs_TBI: Tensor, like: Tensor) -> Tensor:
    """A weight's gradient [G*H, I]: the sum over all steps and rows, in the type of the weight."""
    da, inputs = da_TBG.flatten(0, 1), inputs_TBI.flatten(0, 1)
    return da.t().to(like.dtype) @ inputs.to(like.dtype)
