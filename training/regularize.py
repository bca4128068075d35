"""What is dropped in training, and at what grain (Gal 2016; Merity 2018, section 4).

Must not know: models, configurations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout, embedding


def locked_dropout(x_TBI: Tensor, rate: float) -> Tensor:
    """Drop features with one mask for all tokens of a window, another for each stream."""
    mask_BI = dropout(x_TBI.new_ones(x_TBI.shape[1:]), rate)
    return x_TBI * mask_BI


def embedding_with_dropout(ids_TB: Tensor, weight_VE: Tensor, rate: float) -> Tensor:
    """Look ids up, [T, B, E], with a share of the words zero wherever they stand in the window."""
    mask_V = dropout(weight_VE.new_ones(len(weight_VE)), rate)
    return embedding(ids_TB, weight_VE) * mask_V[ids_TB][..., None]


def activation_penalty(hidden_TBH: Tensor, dropped_TBH: Tensor, ar: float, tar: float) -> Tensor:
    """AR and TAR: how large the last hidden vectors are, and how much they change (Merity 2017).

    The mean square of what the head sees times `ar`, plus that of the differences from token to
    token, before dropout, times `tar`.
    """
    penalty = ar * dropped_TBH.square().mean() if ar else hidden_TBH.new_zeros(())
    if tar and len(hidden_TBH) > 1:
        penalty = penalty + tar * (hidden_TBH[1:] - hidden_TBH[:-1]).square().mean()
    return penalty.float()


def drop_weights(weights: Tensor, rate: float) -> Tensor:
    """Drop single weights, the same ones for a whole window (DropConnect on h to h)."""
    return dropout(weights, rate)


def zipf_shares(vocabulary: int) -> Tensor:
    """How often each id is expected where ids are sorted by frequency; float [V], sums to 1."""
    ranks = torch.arange(1, vocabulary + 1, dtype=torch.float64)
    shares = torch.log1p(1 / ranks)
    return (shares / shares.sum()).float()
