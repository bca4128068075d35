"""The continuous cache over a whole text: its perplexity, and weights tuned on another text.

The equation is that of `models.cache`, which the service shares.
Must not know: texts, files, how a model is stored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache import CacheConfig, likeness_weights
from training.scorer import Floats, Scorer

Ids = NDArray[np.int64]

_CHUNK = 512
THETAS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.4, 2.0, 3.0)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)


@dataclass(frozen=True)
class Reading:
    """A text as a model reads it: what it hid before each token, and the odds it gave the token."""

    hidden_TD: Floats
    targets_T: Ids
    log_probs_T: Floats


def read_stream(scorer: Scorer, ids: Ids, first: int) -> Reading:
    """Read one stream, the state carried from end to end; `first` is read before it."""
    state = scorer.initial_state(1)
    inputs = np.concatenate([[first], ids[:-1]]).astype(np.int64)
    hidden, log_probs = [], []
    for start in range(0, len(ids), _CHUNK):
        chunk, targets = inputs[None, start : start + _CHUNK], ids[start : start + _CHUNK]
        hidden_BTD, state = scorer.read(chunk, np.array([chunk.shape[1]], np.int32), state)
        hidden.append(hidden_BTD[0])
        log_probs.append(scorer.log_probs(hidden_BTD[0])[np.arange(len(targets)), targets])
    return Reading(np.concatenate(hidden), ids, np.concatenate(log_probs))


def cached_perplexity(reading: Reading, config: CacheConfig) -> float:
    """Exp of the mean cross entropy with the cache mixed in; each token joins it once predicted."""
    cached_T = cache_probabilities(reading, config.size, [config.theta])[0]
    return _perplexity(reading, cached_T, config.share)


def tune_cache(
    reading: Reading,
    size: int,
    thetas: Sequence[float] = THETAS,
    shares: Sequence[float] = SHARES,
) -> CacheConfig:
    """The best of a grid of weights on a text that is not the one to be measured."""
    cached_KT = cache_probabilities(reading, size, thetas)
    grid = itertools.product(zip(thetas, cached_KT, strict=True), shares)
    _, theta, share = min(
        (_perplexity(reading, cached_T, share), theta, share) for (theta, cached_T), share in grid
    )
    return CacheConfig(size=size, theta=theta, share=share)


def cache_probabilities(reading: Reading, size: int, thetas: Sequence[float]) -> Floats:
    """What a cache gives each token, [K, T], for each of K thetas; 0 where it is empty."""
    total = len(reading.targets_T)
    found_KT = np.zeros((len(thetas), total), np.float32)
    for start in range(0, total, _CHUNK):
        end, oldest = min(start + _CHUNK, total), max(0, start - size)
        likeness_QM = reading.hidden_TD[start:end] @ reading.hidden_TD[oldest:end].T
        age_QM = np.arange(start, end)[:, None] - np.arange(oldest, end)[None]
        likeness_QM[(age_QM <= 0) | (age_QM > size)] = -np.inf
        hits_QM = reading.targets_T[start:end, None] == reading.targets_T[None, oldest:end]
        for found_T, theta in zip(found_KT, thetas, strict=True):
            found_T[start:end] = (likeness_weights(likeness_QM, theta) * hits_QM).sum(axis=1)
    return found_KT


def _perplexity(reading: Reading, cached_T: Floats, share: float) -> float:
    """With the cache mixed in; where the memory is empty, the model alone."""
    model_T = np.exp(reading.log_probs_T.astype(np.float64))
    empty = np.arange(len(model_T)) == 0
    mixed_T = np.where(empty, model_T, (1 - share) * model_T + share * cached_T)
    return math.exp(-float(np.log(mixed_T).mean()))
