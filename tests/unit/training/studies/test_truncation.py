"""The study of truncation: windows, state between them, recall by lag."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import cross_entropy

from tests.unit.training.studies.quick import run_quickly
from training.cells import build_layer
from training.studies.learner import Net
from training.studies.tasks import (
    NOT_ASKED,
    STREAM_ALPHABET,
    STREAM_INPUTS,
    Stream,
    draw_stream,
    training_chance,
)
from training.studies.truncation import KINDS, Sizes, _train, question_loss, read, recall
from training.studies.truncation_figure import draw
from training.studies.truncation_told import Curve, Kind, rows, sentences

LSTM = Kind("lstm", one_lag=False, carried=True)
SIZES = Sizes(windows=(5,), lags=(2,), hidden=16, streams=16, updates=400, held_out=200, seeds=1)


class Echo(torch.nn.Module):
    """Answers with the last symbol shown: the state is what it has of it, [B, O]."""

    def forward(self, x_TBI: Tensor, state: tuple[Tensor, ...] | None = None):
        """As Net does."""
        kept_BO = x_TBI.new_zeros(x_TBI.shape[1], STREAM_ALPHABET) if state is None else state[0]
        read = []
        for x_BI in x_TBI:
            shown_BO = x_BI[:, :STREAM_ALPHABET]
            kept_BO = torch.where(shown_BO.any(1, keepdim=True), shown_BO, kept_BO)
            read.append(kept_BO)
        return torch.stack(read), (kept_BO,)


def lstm_net() -> Net:
    """A small one."""
    torch.manual_seed(1)
    return Net(build_layer("lstm", STREAM_INPUTS, 6), STREAM_ALPHABET)


def test_a_quick_run_leaves_a_row_a_net_window_test_and_lag(tmp_path: Path) -> None:
    """What was trained with state zeroed is tested in both ways."""
    table, report = run_quickly("truncation", tmp_path)

    ways = [
        ("lstm", "one lag", "carried", ["carried"]),
        ("lstm", "all lags", "carried", ["carried"]),
        ("rnn_tanh", "all lags", "carried", ["carried"]),
        ("lstm", "all lags", "zeroed", ["zeroed", "carried"]),
    ]
    assert [
        (cell, stream, window, trained, tested, lag)
        for cell, stream, trained, tests in ways
        for window in ("2", "4")
        for tested in tests
        for lag in ("1", "3")
    ] == [
        tuple(row[key] for key in ("cell", "stream", "window", "trained", "tested", "lag"))
        for row in table
    ]
    assert all(0 <= float(row["recall"]) <= 1 and float(row["sd"]) == 0 for row in table)
    assert "Lags that do not fit into the window were recalled to" in report


def test_a_carried_state_makes_windows_one_stream() -> None:
    """Read-outs are those of the whole, only whole windows are read."""
    net, stream = lstm_net(), draw_stream((2,), 11, 3, training_chance(1))

    parts = [part for part, _, _ in read(net, stream, 4, carried=True)]

    whole_TBO, _ = net(stream.window(0, 8)[0])
    torch.testing.assert_close(torch.cat(parts), whole_TBO)


def test_a_zeroed_state_makes_each_window_a_beginning() -> None:
    """A window's read-outs are what they are without any stream before it."""
    net, stream = lstm_net(), draw_stream((2,), 11, 3, training_chance(1))

    _, (second, _, _) = read(net, stream, 4, carried=False)

    torch.testing.assert_close(second, net(stream.window(4, 4)[0])[0])


@pytest.mark.parametrize("carried", [True, False])
def test_credit_ends_where_the_window_begins(carried) -> None:
    """The second window's loss can be differentiated when the first one's graph is gone."""
    net, stream = lstm_net(), draw_stream((2,), 40, 8, training_chance(1))

    for read_WBO, targets_WB, _ in read(net, stream, 20, carried=carried):
        net.zero_grad()
        question_loss(read_WBO, targets_WB).backward()

        assert all(weight.grad.abs().sum() > 0 for weight in net.parameters())


def test_a_perfect_memory_recalls_everything() -> None:
    """At every lag, whatever the window."""
    stream = draw_stream((1, 4, 9), 400, 5, training_chance(1))

    assert {1: 1.0, 4: 1.0, 9: 1.0} == recall(Echo(), stream, 5, carried=True)


def test_a_perfect_memory_whose_state_is_zeroed_reaches_the_ceiling() -> None:
    """What a window holds of symbol and question together, and guesses right for the rest.

    With nothing kept, the memory above answers 0, which is right once in four.
    """
    stream = draw_stream((1, 4, 9), 20_000, 5, training_chance(1))
    curve = Curve(LSTM, 5, carried=False, by_lag={1: [], 4: [], 9: []})

    shares = recall(Echo(), stream, 5, carried=False)

    assert {lag: curve.ceiling(lag) for lag in (1, 4, 9)} == pytest.approx(shares, abs=0.02)
    assert 0.25 == curve.ceiling(9)


def test_only_questions_count_in_the_loss() -> None:
    """It is their mean; a window without any has a loss of 0 that has a gradient."""
    scores_TBO = torch.randn(3, 2, STREAM_ALPHABET, requires_grad=True)
    targets_TB = torch.full((3, 2), NOT_ASKED)

    nothing = question_loss(scores_TBO, targets_TB)
    nothing.backward()
    targets_TB[1, 0], targets_TB[2, 1] = 3, 0
    asked = question_loss(scores_TBO, targets_TB)

    assert nothing.item() == 0 == scores_TBO.grad.abs().sum()
    expected = cross_entropy(
        torch.stack([scores_TBO[1, 0], scores_TBO[2, 1]]), torch.tensor([3, 0])
    )
    torch.testing.assert_close(expected, asked)


def test_a_lag_within_the_window_is_learnt() -> None:
    """Lag 2 with windows of 5, by a small LSTM."""
    net, held_out = _train(SIZES, LSTM, 5, [2], seed=1)

    assert recall(net, held_out, 5, carried=True)[2] > 0.9


def test_recall_is_measured_at_the_lag_of_the_question() -> None:
    """Two questions of lag 1, one answered wrongly, and one of lag 3."""
    show, ask, blank = 1, STREAM_ALPHABET, STREAM_ALPHABET + 1
    ids = [show, ask, show, ask, show, blank, blank, ask]
    targets = [NOT_ASKED, 1, NOT_ASKED, 2, NOT_ASKED, NOT_ASKED, NOT_ASKED, 1]
    lags = [0, 1, 0, 1, 0, 0, 0, 3]
    stream = Stream(*(torch.tensor(column)[:, None] for column in (ids, targets, lags)))

    assert {1: 0.5, 3: 1.0} == recall(Echo(), stream, 8, carried=True)


def test_what_is_told_is_computed() -> None:
    """Reach, what lies beyond the window, what was missed within it, and the ceiling."""

    def curve(kind: Kind, *, carried: bool, shares: tuple[list[float], ...]) -> Curve:
        return Curve(kind, 3, carried, dict(zip((1, 2, 9), shares, strict=True)))

    alone, lstm, tanh, zeroed = KINDS
    curves = [
        curve(alone, carried=True, shares=([1.0, 0.9], [0.5, 0.7], [0.2, 0.4])),
        curve(lstm, carried=True, shares=([1.0], [1.0], [0.95])),
        curve(tanh, carried=True, shares=([0.1], [0.1], [0.1])),
        curve(zeroed, carried=False, shares=([0.75], [0.5], [0.35])),
        curve(zeroed, carried=True, shares=([1.0], [0.9], [0.6])),
    ]

    told = sentences(curves)

    reaches = [sentence.split(". ")[0].removesuffix(".") for sentence in told]
    none, over_90 = "no lag with window 3", "90% or more recalled"
    assert reaches == [
        f"A stream a lag, state carried: {over_90} up to lag 1 with window 3",
        f"All lags in one stream, state carried, lstm: {over_90} up to lag 9 with window 3",
        f"All lags in one stream, state carried, rnn_tanh: {over_90} {none}",
        (
            f"All lags in one stream, state zeroed in training and test: {over_90} {none}; "
            "the mean recall differs from the ceiling by 0.100 at most"
        ),
        f"The same nets, tested with the state carried: {over_90} up to lag 2 with window 3",
    ]
    assert "were recalled to 30% to 30% (guessing: 25%)." in told[0]
    assert told[0].endswith("Fitting, yet recalled less than 90%: lag 2 with window 3 (60%).")
    assert [("one lag", 1, 0.95), ("one lag", 2, 0.6), ("one lag", 9, 0.3)] == [
        (row["stream"], row["lag"], pytest.approx(row["recall"])) for row in rows(curves)[:3]
    ]
    first = rows(curves)[1]
    assert pytest.approx((0.2 / 2**0.5, 0.5, 0.7)) == tuple(
        first[key] for key in ("sd", "lowest", "highest")
    )


def test_the_figure_takes_means_that_round_off_the_extremes() -> None:
    """The mean of equal shares may lie a last bit beside them, which is no negative bar."""
    above, below = [0.47] * 7, [0.49] * 7
    curves = [
        Curve(kind, 5, carried, {2: above, 4: below})
        for kind in KINDS
        for carried in {kind.carried, True}
    ]
    figure = Figure()
    assert curves[0].mean(2) > max(above)
    assert curves[0].mean(4) < min(below)

    draw(figure, curves)
    FigureCanvasAgg(figure).draw()

    assert [1, 2, 2] == [len(axes.containers) for axes in figure.axes]
