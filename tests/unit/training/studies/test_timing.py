"""The study of timing: cell and gradient, targets, training, what is told."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from models.cells import CELLS, StepInputs
from tests.unit.training.studies.quick import run_quickly
from training.studies.timing import FULL, QUICK
from training.studies.timing_nets import (
    WEIGHTS,
    Doubles,
    Streams,
    fresh_weights,
    play,
    sigmoid,
    used_weights,
)
from training.studies.timing_tasks import Task, examine, play_task
from training.studies.timing_told import Group, Share, paired, rows, sentences
from training.studies.timing_training import Job, Outcome, Plan, Solution, train

SHORT = Plan(steps=1500, stretch=2, examination=4, endurance=8, examine_every=500)
"""Solved at once by an easy task."""
EASY = Task("cosine", 2)
FAST = 0.05
"""A learning rate that solves it."""
BREAKING = 1e300
"""One that breaks any net."""


class Linear:
    """The squashing of the paper's cell: the identity for tanh."""

    sigmoid = staticmethod(sigmoid)

    def tanh(self, a: Doubles) -> Doubles:
        """As it came."""
        return a


def random_weights(nets: int, *, peepholes: bool = True) -> Doubles:
    """Weights [P, N] that make every gate do something."""
    weights_PN = np.random.default_rng(5).uniform(-1, 1, (WEIGHTS, nets))
    return weights_PN * used_weights(peepholes=peepholes)[:, None]


def group(
    solved: int, *, peepholes: bool = True, right: int = 0, rate: float = FAST, task: Task = EASY
) -> Group:
    """Ten nets, of which some have a solution, and others may be right at the end."""
    solution = Solution(1000, 100, random_weights(1, peepholes=peepholes)[:, 0])
    lasts = SHORT.examination
    outcomes = [
        Outcome(solution if net < solved else None, lasts, lasts * (net < right), 1.0, 0.5)
        for net in range(10)
    ]
    return Group(task, peepholes, rate, SHORT, outcomes)


@pytest.mark.parametrize("peepholes", [True, False])
def test_the_cell_is_the_one_of_the_equations(*, peepholes: bool) -> None:
    """As in `models/cells.py`, with the identity for tanh and no input but the bias."""
    weights_PN = random_weights(3, peepholes=peepholes)
    by_h, bias, by_c = (
        dict(zip("ifgo", row, strict=True)) for row in weights_PN[:12].reshape(3, 4, 3)
    )
    state, wanted = (np.zeros(3), np.zeros(3)), []
    for _ in range(20):
        inputs = StepInputs(
            x=bias,
            state=state,
            recurrent=lambda h, gates: {gate: by_h[gate] * h for gate in gates},
            peepholes={gate: by_c[gate] for gate in "ifo"} if peepholes else {},
            normalize_cell=lambda c: c,
        )
        state = CELLS["peephole_lstm"].equation(Linear(), inputs).state
        wanted.append(weights_PN[12] * state[0] + weights_PN[13])

    np.testing.assert_allclose(play(weights_PN, 20), wanted, rtol=1e-12)


@pytest.mark.parametrize("peepholes", [True, False])
def test_the_gradient_is_that_of_finite_differences(*, peepholes: bool) -> None:
    """Of a loss over a whole stream, by every weight there is, at the last step included."""
    weights_PN, step = random_weights(3, peepholes=peepholes), 1e-6
    share_T = np.linspace(0.5, 1.5, 15)[:, None]

    def losses(weights: Doubles) -> Doubles:
        return np.sum(share_T * play(weights, 15) ** 2, axis=0)

    streams, gradient_PN = Streams(3), np.zeros_like(weights_PN)
    for share in share_T[:, 0]:
        sums_N = streams.advance(weights_PN)
        streams.add_gradient(gradient_PN, weights_PN, 2 * share * sums_N)

    for weight in np.flatnonzero(used_weights(peepholes=peepholes)):
        nudge = np.zeros((WEIGHTS, 1))
        nudge[weight] = step
        numeric_N = (losses(weights_PN + nudge) - losses(weights_PN - nudge)) / (2 * step)
        np.testing.assert_allclose(gradient_PN[weight], numeric_N, rtol=1e-6, atol=1e-9)


def test_a_restart_touches_the_named_nets_only() -> None:
    """Their next step is their first one; the others go on."""
    weights_PN, streams = random_weights(2), Streams(2)
    played_TN = play(weights_PN, 3)

    streams.advance(weights_PN)
    streams.advance(weights_PN)
    streams.restart(np.array([1]))

    assert [0, 0] == [np.count_nonzero(d[..., 1]) for d in (streams.dh_SKN, streams.dc_SKN)]
    assert [played_TN[2, 0], played_TN[0, 1]] == streams.advance(weights_PN).tolist()


def test_nets_start_as_in_the_paper() -> None:
    """Biases of the gates as given, all else small; with peepholes the same, and three more."""
    with_P, without_P = (fresh_weights(7, peepholes=peepholes) for peepholes in (True, False))

    assert [0.0, -2.0, 2.0] == [with_P[4], with_P[5], with_P[7]]
    assert 0.1 >= np.abs(np.delete(with_P, [5, 7])).max()
    assert (13, 10) == (
        np.count_nonzero(used_weights(peepholes=True)),
        used_weights(peepholes=False).sum(),
    )
    assert [8, 9, 11] == np.flatnonzero(with_P != without_P).tolist()
    assert not np.array_equal(with_P, fresh_weights(8, peepholes=True))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ("spikes", [0, 0, 0, 1]),
        ("cosine", [0.5, 1, 0.5, 0]),
        ("triangle", [0.5, 1, 0.5, 0]),
        ("rectangle", [0, 0, 1, 1]),
    ],
)
def test_targets(shape: str, wanted: list[float]) -> None:
    """One period of four steps; the step before the first would be phase 0."""
    np.testing.assert_allclose(Task(shape, 4).target_T, wanted, atol=1e-12)


def test_an_examination_tells_right_from_wrong() -> None:
    """A constant that is near, one that is not, and one that drifts away in time."""
    weights_PN = np.zeros((WEIGHTS, 3))
    weights_PN[13] = [0.2, -0.4, 0.0]
    weights_PN[[5, 7], 2] = 30  # both gates open: c keeps what it has, h shows it
    weights_PN[[6, 12], 2] = 0.022, 1  # 0.011 a step, so too much at the 28th
    silence = Task("triangle", 1)

    _, error_N = examine(silence, weights_PN, 1)
    right_N, _ = examine(silence, weights_PN, 100)

    np.testing.assert_allclose(error_N, [0.2, 0.4, 0.011])
    assert [100, 0, 27] == right_N.tolist()


def test_the_output_for_spikes_is_squashed() -> None:
    """By the logistic function, and may be wrong by a little less than half."""
    weights_PN = np.zeros((WEIGHTS, 2))
    weights_PN[13] = [0.05, 0.0]
    always = Task("spikes", 1)

    np.testing.assert_allclose(play_task(always, weights_PN, 2), [[0.51249739, 0.5]] * 2)
    assert [2, 0] == examine(always, weights_PN, 2)[0].tolist()


def test_a_stream_ends_at_the_first_error_that_is_too_large() -> None:
    """Nets that do not learn get exactly as far as they would have by themselves."""
    jobs = [Job(task, peepholes=True, seed=3, learning_rate=0.0) for task in FULL.tasks]

    for job, outcome in zip(jobs, train(jobs, Plan(steps=60)), strict=True):
        played_T = play_task(job.task, fresh_weights(3, peepholes=True)[:, None], 1)[:, 0]
        wrong = np.abs(played_T - job.task.target_T) >= job.task.tolerance
        assert wrong.any()
        assert (np.argmax(wrong) + 1) / job.task.period == outcome.longest


@pytest.mark.parametrize("peepholes", [True, False])
def test_an_easy_task_is_solved(*, peepholes: bool) -> None:
    """The solution passes the examination again, and took fewer streams than steps."""
    (outcome,) = train([Job(EASY, peepholes, FAST, seed=1)], SHORT)

    assert outcome.solution is not None
    assert 0 < outcome.solution.streams < outcome.solution.steps <= SHORT.steps
    weights_PN = outcome.solution.weights_P[:, None]
    assert [outcome.solution_lasts] == examine(EASY, weights_PN, SHORT.endurance)[0].tolist()
    assert SHORT.examination <= outcome.solution_lasts <= SHORT.endurance
    assert not weights_PN[~used_weights(peepholes=peepholes)].any()
    assert SHORT.stretch == outcome.longest


def test_a_net_comes_out_the_same_whatever_is_trained_beside_it() -> None:
    """Bit for bit: with more seeds, another task, a net that diverges."""
    jobs = [Job(EASY, peepholes=True, seed=seed, learning_rate=FAST) for seed in (1, 2, 3)]
    others = [
        Job(Task("spikes", 5), peepholes=False, seed=1, learning_rate=FAST),
        Job(EASY, peepholes=True, seed=2, learning_rate=BREAKING),
    ]

    (alone,) = train(jobs[1:2], SHORT)
    *_, beside, _ = train([*others, *jobs], SHORT)

    assert alone.solution is not None
    assert beside.solution is not None
    assert (alone.error, alone.longest) == (beside.error, beside.longest)
    assert alone.solution.steps == beside.solution.steps
    np.testing.assert_array_equal(alone.solution.weights_P, beside.solution.weights_P)


def test_a_net_that_diverges_has_failed() -> None:
    """Its error is infinite, and the others are there all the same."""
    jobs = [Job(EASY, peepholes=True, seed=1, learning_rate=rate) for rate in (BREAKING, FAST)]
    broken, sound = train(jobs, SHORT)

    assert broken.solution is None
    assert np.inf == broken.error
    assert sound.solution is not None
    assert Share(1, 2) == Group(EASY, True, FAST, SHORT, [broken, sound]).solved


@pytest.mark.parametrize(
    ("successes", "trials", "wanted"),
    [(0, 10, (0.0, 0.27754)), (10, 10, (0.72246, 1.0)), (5, 10, (0.23659, 0.76341))],
)
def test_the_interval_of_wilson(successes: int, trials: int, wanted: tuple[float, float]) -> None:
    """Against known values; it never leaves 0 to 1 and has a width at its ends."""
    np.testing.assert_allclose(Share(successes, trials).interval, wanted, atol=5e-5)


@pytest.mark.parametrize(
    ("seeing", "blind", "verdict"),
    [
        (10, 0, "peepholes help"),
        (0, 10, "peepholes hinder"),
        (6, 4, "the intervals overlap"),
        (0, 0, "the intervals overlap"),
    ],
)
def test_a_verdict_needs_intervals_that_do_not_overlap(
    seeing: int, blind: int, verdict: str
) -> None:
    """Of ten nets each."""
    (pair,) = paired([group(seeing), group(blind, peepholes=False)])
    assert verdict == pair.verdict("solved")


def test_each_kind_is_compared_at_the_rate_that_is_best_for_it() -> None:
    """By one measure another rate may be best than by another."""
    groups = [
        group(7, rate=0.1, right=9),
        group(8, rate=0.2),
        group(3, rate=0.1, peepholes=False),
        group(2, rate=0.2, peepholes=False, right=2),
    ]

    (pair,) = paired(groups)

    assert [0.2, 0.1] == [best.learning_rate for best in pair.best("solved")]
    assert [0.1, 0.2] == [best.learning_rate for best in pair.best("right at the end")]
    assert "peepholes help" == pair.verdict("right at the end")
    assert ["no", "yes", "yes", "no"] == [row["best"] for row in rows([pair])]
    assert [9, 0, 0, 2] == [row["right_at_end"] for row in rows([pair])]


def test_the_sentences_are_made_from_the_numbers() -> None:
    """Other numbers, other sentences."""

    def told(seeing: int, blind: int) -> str:
        spikes = Task("spikes", 5)
        groups = group(seeing, task=spikes), group(blind, task=spikes, peepholes=False)
        return "\n".join(sentences(paired(groups)))

    helped = told(10, 0)
    assert "spikes 5: solved by 10 of 10 (72 to 100 %) with peepholes and 0 of 10" in helped
    assert "that are solved, peepholes help on spikes 5; peepholes hinder on none" in helped
    assert "only by nets with peepholes, as in the paper: spikes 5." in helped
    assert "without peepholes, against the paper: none." in helped
    assert "without peepholes, against the paper: spikes 5." in told(0, 1)
    assert "no net in the time given: spikes 5." in told(0, 0)


def test_a_quick_run(tmp_path: Path) -> None:
    """A row a task, kind and rate; the easiest are solved, even so quickly."""
    table, report = run_quickly("timing", tmp_path)

    wanted = product([task.name for task in QUICK.tasks], ("yes", "no"), map(str, QUICK.rates))
    assert list(wanted) == [(r["task"], r["peepholes"], r["learning_rate"]) for r in table]
    assert {"2"} == {row["seeds"] for row in table}
    assert "cosine 2: solved by 2 of 2" in report
    assert "quick run" in report
