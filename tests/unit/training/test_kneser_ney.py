"""The n-gram baseline: a probability distribution, the one of the papers."""

from __future__ import annotations

import numpy as np
import pytest

from training.errors import CorpusError
from training.kneser_ney import KneserNey

IDS = np.random.default_rng(0).choice(7, size=400, p=np.array([8, 4, 3, 2, 1, 1, 1]) / 20)


def probabilities(model: KneserNey, *past: int) -> np.ndarray:
    """Of every next token, behind a row of ids."""
    hidden_BTD, _ = model.read(
        np.array([past]), np.array([len(past)], np.int32), model.initial_state(1)
    )
    return np.exp(model.log_probs(hidden_BTD[0, -1:]))[0]


@pytest.mark.parametrize("past", [(1,), (1, 2), (0, 0, 0), (6, 6, 6), (5, 4, 3, 2, 1)])
@pytest.mark.parametrize("order", [2, 3, 4])
def test_it_is_a_distribution(order: int, past: tuple[int, ...]) -> None:
    """Positive, and one in sum, behind contexts that were seen and behind ones that were not."""
    found = probabilities(KneserNey(IDS, 9, order), *past)

    assert (9,) == found.shape
    assert found.min() > 0
    assert found.sum() == pytest.approx(1, abs=1e-5)


def test_it_is_kneser_neys_bigram() -> None:
    """A small case worked out by hand: discounted counts, and continuations for the rest."""
    # 0 1, 1 0, 0 1, 1 2, 2 0, 0 1: bigrams 01 three times, 10, 12 and 20 once.
    model = KneserNey(np.array([0, 1, 0, 1, 2, 0, 1]), 3, 2)
    # Too few kinds of counts for an estimate: every discount is 0.75, of 4 kinds of bigram.
    continuations = np.array([2, 1, 1])  # different words before 0, 1 and 2
    unigram = (continuations - 0.75) / 4 + 3 * 0.75 / 4 / 3
    behind_1 = 2 * 0.75 / 2 * unigram + np.array([0.25 / 2, 0, 0.25 / 2])

    np.testing.assert_allclose(probabilities(model, 1), behind_1, rtol=1e-5)


def test_a_cut_reads_as_the_whole() -> None:
    """Its state is the tokens before: read in pieces or at once, the scores are the same."""
    model = KneserNey(IDS, 9)
    ids_BT, lengths = IDS[None, :12], np.array([12], np.int32)
    whole, last = model.read(ids_BT, lengths, model.initial_state(1))

    first, state = model.read(ids_BT[:, :5], np.array([5], np.int32), model.initial_state(1))
    second, state = model.read(ids_BT[:, 5:], np.array([7], np.int32), state)

    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    np.testing.assert_array_equal(state[0], last[0])


def test_rows_end_where_they_end() -> None:
    """Of a padded row the state is that at its own length."""
    model = KneserNey(IDS, 9)
    _, state = model.read(
        np.array([[1, 2, 3, 4], [5, 0, 0, 0]]), np.array([4, 1], np.int32), model.initial_state(2)
    )

    assert [[2, 3, 4], [-1, -1, 5]] == state[0][0].tolist()


def test_longer_contexts_predict_a_pattern_better() -> None:
    """0 0 1 0 0 1: what follows a 0 takes two tokens to know."""
    ids = np.tile([0, 0, 1], 50)
    assert probabilities(KneserNey(ids, 3, 3), 0, 0)[1] > 0.95
    assert probabilities(KneserNey(ids, 3, 2), 0, 0)[1] < 0.7


@pytest.mark.parametrize(
    ("ids", "vocabulary", "said"), [([1, 2], 9, "too few"), (IDS, 60_000, "too many")]
)
def test_what_cannot_be_counted_is_refused(ids: list[int], vocabulary: int, said: str) -> None:
    """Too short a text, or keys beyond 64 bits."""
    with pytest.raises(CorpusError, match=said):
        KneserNey(np.array(ids), vocabulary)
