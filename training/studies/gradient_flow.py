"""How much of a loss's gradient reaches the states of earlier steps, measured exactly.

Must not know: tasks, training, figures.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.cells import Layer


def state_gradients(layer: Layer, read_out: nn.Linear, x_TBI: Tensor, y_B: Tensor) -> Tensor:
    """The norm of d loss / d state by distance, [T, B]; row d is d steps before the last.

    The loss is the cross entropy of the read-out after the last step alone. The layer runs one step
    at a time and every state, (h,) or (h, c) as one vector, is a node of the graph, so automatic
    differentiation gives the whole derivative through all later steps, to rounding. It is done
    in double precision: at a factor of 0.3 a step, 100 steps are below float32's smallest number.
    """
    layer, read_out = copy.deepcopy(layer).double(), copy.deepcopy(read_out).double()
    x_TBI = x_TBI.double()
    state = layer.initial_state(x_TBI.shape[1])
    states = []
    for x_BI in x_TBI:
        _, state = layer(x_BI[None], state)
        states.append(state)
    loss = cross_entropy(read_out(state[0]), y_B, reduction="sum")  # each row has its own gradient
    parts = torch.autograd.grad(
        loss, [part for state in states for part in state], materialize_grads=True
    )
    gradients_TBS = torch.stack(parts).unflatten(0, (len(states), -1)).transpose(1, 2).flatten(2)
    norms_TB: Tensor = torch.linalg.vector_norm(gradients_TBS, dim=2)
    return norms_TB.flip(0)


def transport(norms_TB: Tensor) -> Tensor:
    """What share of the gradient at distance 0 is there at each distance; [T], a median over rows.

    Rows without any gradient at distance 0, their loss being 0, are left out; NaN if that is all.
    """
    return (norms_TB / norms_TB[0]).nanmedian(dim=1).values


def factor_per_step(transport_T: Tensor, near: int, far: int) -> float:
    """The constant factor a step that leads from the share at one distance to that at another."""
    return float((transport_T[far] / transport_T[near]) ** (1 / (far - near)))


def spectral_radius(matrix_HH: Tensor) -> float:
    """The largest modulus of an eigenvalue."""
    return float(torch.linalg.eigvals(matrix_HH.detach().double()).abs().max())


@dataclass(frozen=True)
class Curve:
    """The share of the gradient by distance, of several nets of one kind."""

    name: str
    shares_ST: Tensor
    """A row a net, see `transport`."""
    recalls: Sequence[float] = ()
    """How well each net does what it was trained for, if it was: a share from 0 to 1."""

    def at(self, quantile: float) -> Tensor:
        """A quantile over the nets at every distance, [T]; nets without a number are left out."""
        return self.shares_ST.nanquantile(quantile, dim=0)
