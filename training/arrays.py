"""Weights as numpy arrays, and back.

Must not know: models, graphs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def array(tensor: torch.Tensor) -> Floats:
    """A tensor's values as float32."""
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)


@torch.no_grad()
def fill(parameter: torch.Tensor, values: Floats) -> None:
    """Put values into a parameter, in place; ValueError where they have another shape."""
    if parameter.shape != values.shape:
        raise ValueError(f"weights of {values.shape}, not of {tuple(parameter.shape)}")
    parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
