"""The study of remedies: fair rates, honest counts, the cost of each."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.unit.training.studies.quick import run_quickly
from training.studies.learner import Learned
from training.studies.mitigations import QUICK, REMEDIES
from training.studies.mitigations_figure import draw
from training.studies.mitigations_told import Remedy, Trial, best_of, rows, sentences

PLAIN = Remedy("nothing", "rnn_tanh")
RELU = Remedy("ReLU", "rnn_relu")


def learned(error: float, *, solved: bool = False, largest: float = 1.0, speed: float = 100.0):
    """A run of one look."""
    return Learned([(10, error)], solved, largest, speed)


TRIALS = [
    Trial(PLAIN, None, 0.1, [learned(math.inf), learned(0.1)]),
    Trial(PLAIN, None, 0.2, [learned(0.16), learned(0.18, largest=1e6)]),
    Trial(RELU, None, 0.1, [learned(0.04, speed=50), learned(0.02, speed=50)]),
    Trial(RELU, None, 0.2, [learned(0.009, solved=True, speed=50), learned(0.2, speed=50)]),
    Trial(PLAIN, 1.0, 0.1, [learned(0.15), learned(0.15, largest=1e9)]),
    Trial(RELU, 1.0, 0.1, [learned(0.009, solved=True), learned(0.009, solved=True)]),
]


def test_a_quick_run_leaves_a_row_a_remedy_rate_and_clip(tmp_path: Path) -> None:
    """Every remedy is tried with the same rates, and one of them is the best."""
    table, report = run_quickly("mitigations", tmp_path)

    names = [remedy.name for remedy in REMEDIES]
    rates = [str(rate) for rate in QUICK.rates]
    assert [(row["remedy"], row["gradient"], row["learning_rate"]) for row in table] == [
        *((name, "alone", rate) for name in names for rate in rates),
        *((name, "clipped", rate) for name in ["clipping", *names[1:]] for rate in rates),
    ]
    assert [1] * 12 == [
        sum(row["best"] == "yes" for row in pair)
        for pair in zip(table[::2], table[1::2], strict=True)
    ]
    assert f"of {len(table)} runs diverged" in report


def test_the_plain_net_is_what_every_other_remedy_changes_in_one_way() -> None:
    """One departure each from a tanh net; the LSTM is there for orientation."""
    assert Remedy("nothing", "rnn_tanh", "none", "uniform") == REMEDIES[0]
    departures = {
        remedy.name: (remedy.cell, remedy.normalization, remedy.start) for remedy in REMEDIES[1:]
    }
    assert {
        "ReLU": ("rnn_relu", "none", "uniform"),
        "ReLU from identity": ("rnn_relu", "none", "identity"),
        "batch norm": ("rnn_tanh", "batch", "uniform"),
        "layer norm": ("rnn_tanh", "layer", "uniform"),
        "LSTM": ("lstm", "none", "uniform"),
    } == departures


def test_the_best_rate_solves_most_seeds_and_then_errs_least() -> None:
    """A median error of 0.17 beats one that is infinite; a solved seed beats a lower error."""
    best = best_of(TRIALS)

    assert [TRIALS[1], TRIALS[3], TRIALS[4], TRIALS[5]] == best
    assert ["no", "yes", "no", "yes", "yes", "yes"] == [row["best"] for row in rows(TRIALS, best)]


def test_diverged_runs_are_counted_and_not_hidden() -> None:
    """Their trial has one diverged seed and an infinite median error."""
    row = rows(TRIALS, best_of(TRIALS))[0]

    assert (1, math.inf, "") == (row["diverged"], row["error"], row["steps"])


def test_a_diverged_run_is_drawn_as_a_cross() -> None:
    """At the edge of the errors, beside the dots of the runs that have one."""
    figure = Figure()

    draw(figure, TRIALS, solved_below=0.01, baseline=1 / 6)
    FigureCanvasAgg(figure).draw()

    marks = [line.get_marker() for line in figure.axes[0].lines]
    runs = sum(len(trial.runs) for trial in TRIALS)
    assert (1, runs - 1) == (marks.count("x"), marks.count("o"))


def test_what_is_told_is_computed() -> None:
    """Who solved it, what the clip changed, what exploded, what a step costs."""
    told = sentences(TRIALS, best_of(TRIALS))

    assert told == [
        (
            "Seeds that solved it, each remedy alone: ReLU 1 of 2 (error 0.105 at rate 0.2), "
            "nothing 0 of 2 (error 0.170 at rate 0.2)."
        ),
        (
            "With clipping: ReLU 2 of 2 (error 0.009 at rate 0.1), "
            "clipping 0 of 2 (error 0.150 at rate 0.1)."
        ),
        "Solved more or fewer with the clip than without: +0 nothing, +1 ReLU.",
        (
            "1 of 12 runs diverged, over all rates. Largest norm of a gradient without a clip, at "
            "any rate: 1e+06 nothing, 1 ReLU."
        ),
        "A step's processor time, beside the plain net's of 1: 2.0 ReLU.",
    ]
