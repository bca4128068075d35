"""Study `adding`: which cells can add two values that lie far apart, and how soon they find out.

Must not know: how a net learns, how figures are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from training.cells import Layer, build_layer
from training.config import Cell
from training.studies.learner import Learned, Net, Training, learn
from training.studies.progress_figure import Panel, draw_progress
from training.studies.race import (
    GATED_RATE,
    PLAIN_RATE,
    Race,
    figures,
    learning_rate,
    race,
    verdict,
)
from training.studies.study import Findings, Options, Study
from training.studies.tasks import draw_adding, held_out_chance, training_chance

SOLVED_BELOW = 0.01
"""Mean squared error; a net that knows but one of the two values is at 1/12 = 0.083."""
BASELINE = 1 / 6
"""Mean squared error of always answering 1: the variance of a sum of two uniform values."""
BASELINE_OF_LE = 0.1767
"""What Le 2015 gives for it."""
_BASELINE_COUNT = 50_000
"""Sequences over which the baseline is measured: its standard error is 0.001."""


@dataclass(frozen=True)
class AddingTask:
    """The adding problem in sequences of one length."""

    length: int
    batch: int
    held_out: int

    def learn(self, layer: Layer, training: Training, seed: int) -> Learned:
        """Let a fresh layer learn it; the error is the mean squared error on held-out sequences."""
        net = Net(layer, 1)
        chance = training_chance(seed)
        held_out = self._draw_held_out()

        def loss(x_TBI: Tensor, y_B: Tensor) -> Tensor:
            return mse_loss(net.at_end(x_TBI)[:, 0], y_B)

        return learn(
            net,
            training,
            lambda: loss(*draw_adding(self.length, self.batch, chance)),
            lambda: loss(*held_out).item(),
        )

    @property
    def baseline(self) -> float:
        """The mean squared error of always answering 1 on the held-out sequences."""
        _, y_B = self._draw_held_out()
        return mse_loss(torch.ones_like(y_B), y_B).item()

    def _draw_held_out(self) -> tuple[Tensor, Tensor]:
        return draw_adding(self.length, self.held_out, held_out_chance())


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    tasks: Sequence[AddingTask]
    hidden: int
    max_steps: int
    seeds: int
    check_every: int


FULL = Sizes(
    [AddingTask(length, batch=32, held_out=300) for length in (100, 200, 400)],
    hidden=32,
    max_steps=2000,
    seeds=3,
    check_every=50,
)
QUICK = Sizes(
    [AddingTask(length, batch=8, held_out=20) for length in (6, 12)],
    hidden=8,
    max_steps=4,
    seeds=1,
    check_every=2,
)


def run(options: Options) -> Findings:
    """Let all cells race at every length."""
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    races = [(task, race(partial(_learn_one, sizes, task), seeds)) for task in sizes.tasks]
    return Findings(
        rows=[
            {"length": task.length, "cell": cell, **figures(runs), "always_1": task.baseline}
            for task, results in races
            for cell, runs in results.items()
        ],
        draw=partial(
            draw_progress,
            panels=[_panel(task, results) for task, results in races],
            error="held-out mean squared error",
        ),
        outcome=[
            _baseline(measure_baseline(sizes.tasks[0].length)),
            *(verdict(f"T = {task.length}", results) for task, results in races),
        ],
        seeds=seeds,
        setting=_setting(sizes),
    )


def measure_baseline(length: int) -> float:
    """The mean squared error of always answering 1, over many sequences."""
    _, y_B = draw_adding(length, _BASELINE_COUNT, held_out_chance())
    return mse_loss(torch.ones_like(y_B), y_B).item()


def _learn_one(sizes: Sizes, task: AddingTask, cell: Cell, seed: int) -> Learned:
    torch.manual_seed(seed)
    layer = build_layer(cell, 2, sizes.hidden)
    training = Training(
        sizes.max_steps, learning_rate(layer), SOLVED_BELOW, check_every=sizes.check_every
    )
    return task.learn(layer, training, seed)


def _panel(task: AddingTask, results: Race) -> Panel:
    levels = {"solved": SOLVED_BELOW, "always 1": task.baseline}
    return Panel(f"T = {task.length}", results, levels)


def _baseline(measured: float) -> str:
    return (
        f"Always answering 1 has a mean squared error of {measured:.4f} over {_BASELINE_COUNT:,} "
        f"sequences. The variance of a sum of two uniform values is 1/6 = {BASELINE:.4f}, which "
        f"Arjovsky 2016 gives too; the {BASELINE_OF_LE} of Le 2015 is "
        f"{abs(BASELINE_OF_LE - measured) / measured:.0%} off."
    )


def _setting(sizes: Sizes) -> str:
    task = sizes.tasks[0]
    return (
        f"One layer of {sizes.hidden} units, a linear read-out after the last step, "
        f"batches of {task.batch}, Adam at {GATED_RATE:g} for cells with gates and "
        f"{PLAIN_RATE:g} for those without (each the best of a few in a pilot), gradients "
        f"clipped at a norm of 1. A net stops when its mean squared error on {task.held_out} "
        f"held-out sequences, looked at every {sizes.check_every} steps, is below {SOLVED_BELOW:g}"
        f" (solved), or after {sizes.max_steps} steps. In the table, `steps` (of the seeds that "
        "solved it), `error` (held-out, at the end) and `steps_per_s` (of processor time) are "
        "medians over the seeds, `largest_gradient` is the largest norm before clipping; "
        "`always_1` is the error of always answering 1 on just these held-out sequences."
    )


STUDY = Study(
    name="adding",
    title="Adding two values far apart",
    expected=(
        "Hochreiter & Schmidhuber 1997 (experiment 4) introduced the task, and their LSTM solves "
        "it over lags of 500 steps and more. Le 2015 (section 4.1), in the form used here: an LSTM "
        "and a ReLU net started at the identity solve it for T = 150 to 400, while a tanh net and "
        "a ReLU net of the usual start stay at the baseline. Greff 2017 finds the variants of the "
        "LSTM much alike, coupled gates included; Jozefowicz 2015 finds the GRU ahead of the LSTM, "
        "and that a forget bias of 1, with which the LSTM starts here, closes most of the gap."
    ),
    run=run,
)
