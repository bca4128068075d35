"""The continuous cache (Grave 2016): what was read lately is likely to come again.

The hidden vectors of the latest places in a text are remembered, each beside the word that followed
it. The present hidden vector is held against them, and the words behind the alike ones share a part
of the probability, words outside the vocabulary by their spelling. Here are its weights and its
equation, for training and serving alike.
Must not know: texts, sessions, how a model is stored.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Floats = NDArray[np.float32]


class CacheConfig(BaseModel):
    """How much is remembered, and how much it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    size: Annotated[int, Field(ge=1)]
    """Words that the memory holds."""
    theta: Annotated[float, Field(gt=0, le=100)]
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


@dataclass(frozen=True)
class Recall:
    """The words that followed the last M places of a text, and how much they count."""

    config: CacheConfig
    token_ids: tuple[int, ...]
    spellings: tuple[str | None, ...]
    """Of the words outside the vocabulary; None for those within."""

    def odds(self, hidden_MD: NDArray[np.floating[Any]], hidden_D: Floats) -> Odds | None:
        """What the cache gives each word at a place; None where it holds nothing yet.

        `hidden_MD` was hidden before each of the words (and, before those, perhaps before others).
        Calculated a place at a time, so that no answer depends on who shares a batch.
        """
        if not self.token_ids or not self.config.share:
            return None
        memory_MD = hidden_MD[-len(self.token_ids) :].astype(np.float32)
        [weights_M] = likeness_weights((memory_MD @ hidden_D)[None], self.config.theta)
        known: defaultdict[int, float] = defaultdict(float)
        spelled: defaultdict[str, float] = defaultdict(float)
        for token_id, spelling, weight in zip(
            self.token_ids, self.spellings, weights_M.tolist(), strict=True
        ):
            if not weight:  # too small for a number: its logarithm would be none
                continue
            if spelling is None:
                known[token_id] += weight
            else:
                spelled[spelling] += weight
        ids = sorted(known)
        return Odds(
            self.config.share,
            np.array(ids, np.int64),
            np.array([known[i] for i in ids], np.float64),
            dict(spelled),
        )


@dataclass(frozen=True)
class Odds:
    """What a cache gives the words it holds; shares of 1, over known and spelled words together."""

    share: float
    """Lambda: the part of the probability that the cache has."""
    ids_N: NDArray[np.int64]
    odds_N: NDArray[np.float64]
    spelled: dict[str, float]

    def mix(self, log_probs_V: Floats) -> Floats:
        """The model's log-probabilities with the cache's part mixed in."""
        mixed_V = log_probs_V + np.float32(np.log1p(-self.share))
        model_N = np.exp(mixed_V[self.ids_N].astype(np.float64))
        mixed_V[self.ids_N] = np.log(model_N + self.share * self.odds_N)
        return mixed_V

    def log_odds(self, spelling: str) -> float:
        """The log-probability of a word outside the vocabulary, which only the cache knows."""
        return float(np.log(self.share * self.spelled[spelling]))
