"""The continuous cache (Grave 2016): what was read lately is likely to come again.

The hidden vectors of the latest places in a text are remembered, each beside the word that followed
it. The present hidden vector is held against them, and the words behind the alike ones share a part
of the probability. Here are its weights and its equation, for training and serving alike.
Must not know: texts, sessions, how a model is stored.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]


class CacheConfig(BaseModel):
    """How much is remembered, and how much it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    size: Annotated[int, Field(ge=1)]
    """Words that the memory holds."""
    theta: Annotated[float, Field(gt=0)]
    """How sharply alike hidden vectors stand out: weights are exp(theta * h . h_i)."""
    share: Annotated[float, Field(ge=0, lt=1)]
    """Lambda: the part of the probability that the cache has."""


class ModelCache(CacheConfig):
    """The cache that suits a model, its weights tuned on validation text."""

    by_default: bool = False
    """Whether a session has it that asks for none."""


def likeness_weights(likeness_QM: Floats, theta: float) -> Floats:
    """Softmax(theta * likeness) over the memories of each query, [Q, M]; Grave 2016, equation 3.

    A memory at minus infinity counts for nothing; a query without any other gets zeros.
    """
    scaled_QM = theta * likeness_QM
    most_Q1 = scaled_QM.max(axis=1, keepdims=True)
    weights_QM: Floats = np.exp(scaled_QM - np.where(np.isfinite(most_Q1), most_Q1, 0))
    sums_Q1 = weights_QM.sum(axis=1, keepdims=True)
    weights_QM /= np.where(sums_Q1 > 0, sums_Q1, 1)
    return weights_QM
