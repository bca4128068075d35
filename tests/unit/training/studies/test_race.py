"""What is told of a race of cells."""

from __future__ import annotations

import math

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.cells import build_layer
from training.config import CELLS
from training.studies.learner import Learned
from training.studies.progress_figure import Panel, draw_progress
from training.studies.race import figures, learning_rate, race, verdict


def learned(*errors: float, solved: bool = False, every: int = 10) -> Learned:
    """A run with a look at every tenth step."""
    curve = [(every * (i + 1), error) for i, error in enumerate(errors)]
    return Learned(curve, solved, largest_gradient=len(errors), steps_per_s=100.0)


SOLVED = learned(0.5, 0.001, solved=True)
SLOW = learned(0.5, 0.4, 0.3, 0.001, solved=True)
FAILED = learned(0.5, 0.4, 0.3, 0.2)
DIVERGED = learned(0.5, math.inf)


def test_every_cell_takes_part_with_every_seed() -> None:
    """Cells in their usual order, seeds from 1."""
    asked = []

    def learn_one(cell, seed):
        asked.append((cell, seed))
        return SOLVED

    results = race(learn_one, seeds=2)

    assert [(cell, seed) for cell in CELLS for seed in (1, 2)] == asked
    assert {cell: [SOLVED, SOLVED] for cell in CELLS} == results


def test_figures_count_seeds_and_take_medians() -> None:
    """Steps are of the seeds that solved the task, the error is of all."""
    assert {
        "seeds": 3,
        "solved": 2,
        "diverged": 0,
        "steps": 30.0,
        "error": 0.001,
        "largest_gradient": 4,
        "steps_per_s": 100.0,
    } == figures([SOLVED, SLOW, FAILED])


def test_figures_of_nets_that_all_failed() -> None:
    """No steps to a solution; a diverged net has an error beyond all numbers."""
    told = figures([FAILED, DIVERGED, DIVERGED])

    assert (0, 2, "", math.inf) == tuple(told[k] for k in ("solved", "diverged", "steps", "error"))


def test_the_verdict_ranks_by_seeds_and_then_by_steps() -> None:
    """All seeds first, then the fewest steps, then those that never did."""
    results = {
        "lstm": [SLOW, SLOW],
        "gru": [SOLVED, SOLVED],
        "rnn_tanh": [FAILED, DIVERGED],
        "rnn_relu": [SOLVED, FAILED],
    }

    assert verdict("T = 5", results) == (
        "T = 5: solved by gru (2 of 2 seeds, 20 steps), lstm (2 of 2 seeds, 40 steps), "
        "rnn_relu (1 of 2 seeds, 20 steps); not by rnn_tanh."
    )
    assert verdict("T = 6", {"gru": [FAILED]}) == "T = 6: solved by no cell."


def test_cells_without_gates_learn_at_a_smaller_rate() -> None:
    """The rate is a matter of gates, not of a cell's name."""
    rates = {cell: learning_rate(build_layer(cell, 1, 2)) for cell in CELLS}

    assert {"rnn_tanh", "rnn_relu"} == {c for c, rate in rates.items() if rate < rates["lstm"]}


def test_a_dot_ends_the_line_of_each_seed_that_solved_the_task() -> None:
    """Nets that diverged or failed are drawn as far as they came."""
    results = {"gru": [SOLVED, SLOW], "lstm": [FAILED, SLOW], "rnn_tanh": [DIVERGED, FAILED]}
    figure = Figure()

    draw_progress(figure, [Panel("T = 5", results, {"solved": 0.01})], error="error")
    FigureCanvasAgg(figure).draw()

    lines = figure.axes[0].lines
    dots = [list(line.get_xdata()) for line in lines if line.get_marker() == "o"]
    assert [[20], [40], [40]] == dots
    assert ["gru", "lstm", "rnn_tanh"] == figure.axes[0].get_legend_handles_labels()[1]
