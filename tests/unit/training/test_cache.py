"""The continuous cache against its definition, word by word."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.cache import CacheConfig
from tests.unit.training.support import TableScorer
from training.cache import (
    Reading,
    cache_probabilities,
    cached_perplexity,
    read_stream,
    tune_cache,
)


def reading(length: int = 1200, features: int = 4, words: int = 6) -> Reading:
    """A text at random, with hidden vectors that depend a little on the words."""
    chance = np.random.default_rng(2)
    targets_T = chance.integers(0, words, length)
    hidden_TD = chance.normal(size=(length, features)).astype(np.float32)
    hidden_TD[:, 0] += targets_T
    log_probs_T = np.log(chance.uniform(0.05, 0.5, length)).astype(np.float32)
    return Reading(hidden_TD, targets_T, log_probs_T)


@pytest.mark.parametrize("size", [1, 7, 600, 5000])
def test_each_token_is_found_as_the_definition_says(size: int) -> None:
    """exp(theta h . h_i) over the last `size` places, those with the word over all."""
    text, theta = reading(), 0.3
    (found_T,) = cache_probabilities(text, size, [theta])

    assert 0 == found_T[0]
    for t in (1, 2, 8, 511, 512, 513, 1024, 1199):
        places = slice(max(0, t - size), t)
        weights = np.exp(theta * text.hidden_TD[places].astype(np.float64) @ text.hidden_TD[t])
        hits = text.targets_T[places] == text.targets_T[t]
        assert found_T[t] == pytest.approx(weights[hits].sum() / weights.sum(), rel=1e-4, abs=1e-7)


def test_no_token_helps_to_predict_itself_or_what_was_before() -> None:
    """Words that come once are never found."""
    text = reading(50)
    once = Reading(text.hidden_TD, np.arange(50), text.log_probs_T)
    assert not cache_probabilities(once, 10, [0.5])[0].any()


def test_a_share_of_nothing_changes_nothing() -> None:
    """Lambda 0 is the model alone."""
    text = reading()
    plain = math.exp(-float(text.log_probs_T.astype(np.float64).mean()))
    assert plain == pytest.approx(
        cached_perplexity(text, CacheConfig(size=100, theta=0.3, share=0.0))
    )


def test_tuning_finds_the_best_of_the_grid() -> None:
    """No other weights of the grid give a lower perplexity on the text that was tuned on."""
    text = reading()
    best = tune_cache(text, 200, thetas=(0.05, 0.5), shares=(0.1, 0.5))
    others = [
        cached_perplexity(text, CacheConfig(size=200, theta=theta, share=share))
        for theta in (0.05, 0.5)
        for share in (0.1, 0.5)
    ]
    assert min(others) == pytest.approx(cached_perplexity(text, best))


def test_a_stream_is_read_from_its_first_token_on() -> None:
    """Each token is scored by what was read before it, the first by the token before the stream."""
    table = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32))
    text = read_stream(TableScorer(table), np.array([2, 0, 1]), first=1)

    np.testing.assert_allclose(np.exp(text.log_probs_T), [0.1, 0.3, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(text.hidden_TD.argmax(1), [1, 2, 0])
