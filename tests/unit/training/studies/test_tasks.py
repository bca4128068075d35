"""The made-up tasks: what is shown, what is asked, what guessing is worth."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from training.studies.tasks import (
    COPY_ALPHABET,
    NOT_ASKED,
    STREAM_ALPHABET,
    STREAM_INPUTS,
    Stream,
    copy_baseline,
    draw_adding,
    draw_copy,
    draw_stream,
    held_out_chance,
    training_chance,
)

QUESTION = STREAM_ALPHABET


@pytest.mark.parametrize("length", [2, 7, 40])
def test_adding_marks_one_value_in_each_half_and_asks_for_their_sum(length: int) -> None:
    """The target is the sum of the values under the two marks, whatever the others are."""
    x_TBI, y_B = draw_adding(length, 50, training_chance(1))

    values_TB, marks_TB = x_TBI.unbind(2)
    assert (length, 50, 2) == tuple(x_TBI.shape)
    assert [1.0] * 50 == marks_TB[: length // 2].sum(0).tolist()
    assert [1.0] * 50 == marks_TB[length // 2 :].sum(0).tolist()
    assert 0 <= values_TB.min() <= values_TB.max() < 1
    for b in range(50):
        first, second = marks_TB[:, b].nonzero().flatten()
        assert values_TB[first, b] + values_TB[second, b] == pytest.approx(y_B[b].item())


def test_the_marks_of_adding_reach_every_step() -> None:
    """Over many sequences each step of a half is marked about equally often."""
    x_TBI, _ = draw_adding(10, 5000, training_chance(1))

    assert x_TBI[..., 1].mean(1).tolist() == pytest.approx([0.2] * 10, abs=0.03)


def test_copy_shows_symbols_and_asks_for_them_at_the_end() -> None:
    """Symbols, N - 1 blanks, the sign, S blanks; N + S blanks are wanted, then the symbols."""
    symbols, blanks = 3, 5
    x_TBI, targets_TB = draw_copy(symbols, blanks, 20, training_chance(1))

    ids_TB = x_TBI.argmax(2)
    blank, begin = COPY_ALPHABET, COPY_ALPHABET + 1
    assert blanks + 2 * symbols == len(ids_TB) == len(targets_TB)
    assert bool((x_TBI.sum(2) == 1).all())
    for b in range(20):
        shown = ids_TB[:3, b].tolist()
        assert all(symbol < COPY_ALPHABET for symbol in shown)
        assert [blank] * 4 + [begin] + [blank] * 3 == ids_TB[3:, b].tolist()
        assert [blank] * 8 + shown == targets_TB[:, b].tolist()


def test_the_baseline_of_copy_is_the_loss_of_guessing_the_symbols() -> None:
    """A forecast that is sure of the blanks and even over the symbols has just that loss."""
    _, targets_TB = draw_copy(4, 9, 30, training_chance(1))
    sure = 100.0
    scores_TBO = torch.zeros(len(targets_TB), 30, COPY_ALPHABET + 1)
    scores_TBO[:-4, :, COPY_ALPHABET] = sure
    scores_TBO[-4:, :, COPY_ALPHABET] = -sure

    loss = cross_entropy(scores_TBO.flatten(0, 1), targets_TB.flatten()).item()

    assert loss == pytest.approx(copy_baseline(4, 9), rel=1e-5)
    assert 10 * math.log(8) / 120 == pytest.approx(copy_baseline(10, 100))


@pytest.mark.parametrize("lags", [(1,), (4,), (1, 3, 10)])
def test_a_question_of_the_stream_asks_for_the_last_symbol_one_lag_ago(lags) -> None:
    """Every question stands one lag behind its symbol, with nothing but blanks between."""
    stream = draw_stream(lags, 300, 6, training_chance(1))

    for b in range(6):
        asked = (stream.targets_TB[:, b] != NOT_ASKED).nonzero().flatten().tolist()
        assert (stream.ids_TB[:, b] == QUESTION).nonzero().flatten().tolist() == asked
        for t in asked:
            lag = int(stream.lags_TB[t, b])
            assert lag in lags
            assert stream.ids_TB[t - lag, b] == stream.targets_TB[t, b] < STREAM_ALPHABET
            assert [STREAM_ALPHABET + 1] * (lag - 1) == stream.ids_TB[t - lag + 1 : t, b].tolist()


def test_the_stream_asks_to_its_very_end_and_for_all_lags_alike() -> None:
    """No stream runs dry, and lags are equally frequent among the questions."""
    stream = draw_stream((2, 5, 9), 3000, 8, training_chance(1))

    assert bool((stream.targets_TB[-30:] != NOT_ASKED).any(0).all())
    counts = [int((stream.lags_TB == lag).sum()) for lag in (2, 5, 9)]
    assert [1 / 3] * 3 == pytest.approx([count / sum(counts) for count in counts], abs=0.03)


def test_windows_are_parts_of_the_stream() -> None:
    """Inputs are one-hot, targets as they stand."""
    ids_TB = torch.tensor([[0], [5], [4], [5]])
    stream = Stream(ids_TB, torch.tensor([[-100], [-100], [0], [-100]]), torch.zeros(4, 1))

    x_WBI, targets_WB = stream.window(1, 2)

    assert torch.eye(STREAM_INPUTS)[[5, 4]][:, None].equal(x_WBI)
    assert [[-100], [0]] == targets_WB.tolist()


def test_no_net_trains_on_what_is_held_out() -> None:
    """Held-out data differ from the training data of every seed, and are always the same."""
    held_out, _ = draw_adding(5, 10, held_out_chance())

    assert held_out.equal(draw_adding(5, 10, held_out_chance())[0])
    for seed in range(1, 20):
        assert not held_out.equal(draw_adding(5, 10, training_chance(seed))[0])


def test_answering_one_has_the_variance_of_a_sum_of_two() -> None:
    """Not far from 1/6 over many sequences."""
    _, y_B = draw_adding(10, 50_000, training_chance(1))

    assert 1 / 6 == pytest.approx(mse_loss(torch.ones_like(y_B), y_B).item(), abs=0.005)
