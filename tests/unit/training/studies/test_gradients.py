"""The study of gradients: what is measured, what is trained, what is told."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training.cells import Layer, build_layer
from training.config import CELLS
from training.studies import gradients_told as told
from training.studies.explosion import SUBJECTS, Descent, Series, Subject, descend
from training.studies.gradient_flow import (
    Curve,
    factor_per_step,
    spectral_radius,
    state_gradients,
    transport,
)
from training.studies.recall import INPUTS, SYMBOLS, Recall
from training.studies.study import Options, find_study, run_study

TINY_STEP = 1e-6
"""Of finite differences in double precision."""


def recall(length: int = 9, seed: int = 0) -> Recall:
    """A task drawn from a seed."""
    return Recall(length, torch.Generator().manual_seed(seed))


def loss_behind(
    layer: Layer, read_out: nn.Linear, x_TBI: Tensor, y_B: Tensor, state: tuple[Tensor, ...]
) -> Tensor:
    """The loss of each row, from a state and the steps that are still to come."""
    for x_BI in x_TBI:
        _, state = layer(x_BI[None], state)
    return cross_entropy(read_out(state[0]), y_B, reduction="none")


def numeric_norms(layer: Layer, read_out: nn.Linear, x_TBI: Tensor, y_B: Tensor) -> Tensor:
    """The gradient's norms [T, B] by distance, by moving each number of each state a little."""
    state, norms = layer.initial_state(x_TBI.shape[1]), []
    for t, x_BI in enumerate(x_TBI):
        _, state = layer(x_BI[None], state)
        squares_B = torch.zeros(x_TBI.shape[1], dtype=torch.float64)
        for part, column in ((p, c) for p in range(len(state)) for c in range(layer.hidden)):
            sides = []
            for step in (TINY_STEP, -TINY_STEP):
                moved = tuple(tensor.clone() for tensor in state)
                moved[part][:, column] += step
                sides.append(loss_behind(layer, read_out, x_TBI[t + 1 :], y_B, moved))
            squares_B += ((sides[0] - sides[1]) / (2 * TINY_STEP)) ** 2
        norms.append(squares_B.sqrt())
    return torch.stack(norms[::-1])


@pytest.mark.parametrize("cell", CELLS)
def test_the_gradient_is_the_one_of_finite_differences(cell: str) -> None:
    """At every distance and for every row, h and c together."""
    torch.manual_seed(1)
    layer, read_out = build_layer(cell, INPUTS, 3).double(), nn.Linear(3, SYMBOLS).double()
    x_TBI, y_B = recall(5).anywhere(2)

    with torch.no_grad():
        wanted = numeric_norms(layer, read_out, x_TBI.double(), y_B)

    measured = state_gradients(layer, read_out, x_TBI, y_B)
    assert (5, 2) == measured.shape
    torch.testing.assert_close(measured, wanted, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.25])
def test_a_linear_net_decays_at_its_spectral_radius(radius: float) -> None:
    """A rectified net that is never at rest, with a scaled permutation for recurrent weights."""
    torch.manual_seed(2)
    layer = build_layer("rnn_relu", INPUTS, 6)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.abs_()
        layer.weight_hh.copy_(radius * torch.eye(6)[torch.randperm(6)])

    shares = transport(state_gradients(layer, nn.Linear(6, SYMBOLS), *recall(41).at_start(3)))

    assert radius == pytest.approx(spectral_radius(layer.weight_hh))
    wanted = radius ** torch.arange(41, dtype=torch.float64)
    torch.testing.assert_close(shares, wanted, rtol=1e-5, atol=0)
    assert radius == pytest.approx(factor_per_step(shares, 10, 40))


def test_a_gradient_too_small_for_float32_is_still_measured() -> None:
    """At a factor of 0.1 a step there is 1e-60 left after 60."""
    layer = build_layer("rnn_relu", INPUTS, 2)
    with torch.no_grad():
        for weight in layer.parameters():
            weight.abs_()
        layer.weight_hh.copy_(0.1 * torch.eye(2))

    shares = transport(state_gradients(layer, nn.Linear(2, SYMBOLS), *recall(61).at_start(2)))

    assert 1e-60 == pytest.approx(float(shares[60]), rel=1e-4)


def test_measuring_leaves_the_net_as_it_was() -> None:
    """Its weights stay float32 and get no gradient."""
    layer, read_out = build_layer("lstm", INPUTS, 4), nn.Linear(4, SYMBOLS)

    state_gradients(layer, read_out, *recall().at_start(2))

    weights = [*layer.parameters(), *read_out.parameters()]
    assert {torch.float32} == {weight.dtype for weight in weights}
    assert all(weight.grad is None for weight in weights)


def test_rows_whose_loss_is_settled_do_not_count() -> None:
    """A row without any gradient has no shares; the others' median is taken."""
    norms_TB = torch.tensor([[2.0, 0.0, 4.0, 1.0], [1.0, 0.0, 1.0, 0.75]])

    assert [1.0, 0.5] == transport(norms_TB).tolist()


def test_the_symbol_is_shown_once_among_distractors() -> None:
    """At one step each sequence has its symbol, at all others something that is no symbol."""
    task = recall(12)
    x_TBI, y_B = task.anywhere(200)

    shown_TB = x_TBI[:, :, :SYMBOLS].sum(2)
    assert torch.equal(torch.ones(12, 200), x_TBI.sum(2))
    assert torch.equal(torch.ones(200), shown_TB.sum(0))
    assert torch.equal(y_B, x_TBI[:, :, :SYMBOLS].sum(0).argmax(1))
    assert set(range(12)) == set(shown_TB.argmax(0).tolist())


def test_the_symbol_can_be_shown_first() -> None:
    """`at_start` is the farthest a symbol can be from the question."""
    x_TBI, y_B = recall().at_start(50)

    assert torch.equal(y_B, x_TBI[0].argmax(1))
    assert set(range(SYMBOLS)) == set(y_B.tolist())


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.radius is not None])
def test_a_subject_has_the_radius_that_it_is_named_after(subject: Subject) -> None:
    """Recurrent weights are drawn, then scaled."""
    assert f"{subject.cell} (radius {subject.radius})" == subject.name
    assert subject.radius == pytest.approx(spectral_radius(subject.build(10).weight_hh), rel=1e-5)


def test_a_descent_notices_divergence_and_goes_no_further() -> None:
    """States that quadruple for 100 steps have gradients beyond float32."""
    torch.manual_seed(3)
    wild = Subject("wild", "rnn_relu", radius=6.0)

    descent = descend(wild, recall(101), hidden=12, steps=5, rate=0.1, clip=None)

    assert descent.diverged


def test_a_descent_sees_gradients_before_they_are_clipped() -> None:
    """The largest gradient of a first step is the same with a clip and without."""
    largest = []
    for clip in (None, 1e-4):
        torch.manual_seed(4)
        lstm = Subject("lstm", "lstm")
        descent = descend(lstm, recall(20), hidden=6, steps=1, rate=0.1, clip=clip)
        largest.append(descent.largest_gradient)
        assert (False, False) == (descent.diverged, descent.jumped)

    assert largest[0] == largest[1] > 1e-4


def test_a_descent_notices_jumps() -> None:
    """At an absurd rate the loss leaps, at a small one it does not."""
    jumped = {}
    for rate in (1e-3, 300.0):
        torch.manual_seed(5)
        lstm = Subject("lstm", "lstm")
        jumped[rate] = descend(lstm, recall(5), hidden=6, steps=4, rate=rate, clip=None).jumped

    assert {1e-3: False, 300.0: True} == jumped


def test_the_sentences_are_made_from_the_numbers() -> None:
    """Factors in order, what training changed, who remembers, what the clip did."""
    distances = torch.arange(101, dtype=torch.float64)
    before = [Curve("far", 0.9 ** distances[None]), Curve("near", 0.5 ** distances[None])]
    after = [
        Curve("far", 0.8 ** distances[None], recalls=[0.95]),
        Curve("near", 0.7 ** distances[None], recalls=[0.2]),
    ]
    free = Series(SUBJECTS[0], None, [Descent(7.0, jumped=True, diverged=True)])
    clipped = Series(SUBJECTS[0], 1.0, [Descent(3.0, jumped=False, diverged=False)])

    first, second, change, memory, explosion = told.sentences(before, after, [free, clipped])

    assert "0.500 in near, 0.900 in far. At distance 100 there is 8e-31 of it in near" in first
    assert "0.700 in near, 0.800 in far" in second
    assert "in 1 of 2 kinds of net (near)" in change
    assert "far 1 of 1, near 0 of 1; among these" in memory
    assert "from 2e-10 to 2e-10" in memory
    assert "without a clip 100% of the runs diverged and 100% had their loss jump" in explosion
    assert "with a clip 0% and 0%; the largest gradient, in the median, was 7 and 3" in explosion


def test_a_quick_run_writes_table_figure_and_report(tmp_path: Path) -> None:
    """A row for each net before and after training, and for each subject with and without clip."""
    report = run_study(find_study("gradients"), Options(quick=True, seeds=1), tmp_path)

    with (tmp_path / "gradients.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    nets = len(CELLS) + 1
    assert nets * 2 + len(SUBJECTS) * 2 == len(rows)
    assert ["initialisation"] * nets + ["trained"] * nets == [r["when"] for r in rows[: 2 * nets]]
    assert {*CELLS, "rnn_relu (identity)"} == {row["net"] for row in rows[:nets]}
    assert all(0 < float(row["share_10"]) < 2 for row in rows[: 2 * nets])
    assert (tmp_path / "gradients.png").read_bytes().startswith(b"\x89PNG")
    assert report == (tmp_path / "gradients.md").read_text(encoding="utf-8")
