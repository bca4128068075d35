"""Study `copy`: which cells can keep symbols over a blank and say them again in order.

Must not know: how a net learns, how figures are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from training.cells import Layer, build_layer
from training.config import Cell
from training.studies.learner import Learned, Net, Training, examine, learn
from training.studies.progress_figure import Panel, draw_progress
from training.studies.race import (
    GATED_RATE,
    PLAIN_RATE,
    figures,
    learning_rate,
    race,
    verdict,
)
from training.studies.study import Findings, Options, Row, Study
from training.studies.tasks import (
    COPY_ALPHABET,
    COPY_INPUTS,
    COPY_OUTPUTS,
    copy_baseline,
    draw_copy,
    held_out_chance,
    training_chance,
)

SOLVED_BELOW = 0.01
"""The share of held-out symbols recalled wrongly."""
CLEARLY = 0.9
"""A cross entropy below this share of the baseline's beats it; noise alone does not get there."""


@dataclass(frozen=True)
class Copied(Learned):
    """What became of a net; its error is the share of held-out symbols recalled wrongly."""

    cross_entropy: float
    """On the held-out sequences at the end, in nats a step."""


@dataclass(frozen=True)
class CopyTask:
    """The copy task over one blank."""

    symbols: int
    blanks: int
    batch: int
    held_out: int

    @property
    def baseline(self) -> float:
        """The cross entropy of guessing, in nats a step."""
        return copy_baseline(self.symbols, self.blanks)

    def learn(self, layer: Layer, training: Training, seed: int) -> Copied:
        """Let a fresh layer learn it."""
        net = Net(layer, COPY_OUTPUTS)
        chance = training_chance(seed)
        held_out = self._draw(self.held_out, held_out_chance())
        learned = learn(
            net,
            training,
            lambda: _cross_entropy(net, *self._draw(self.batch, chance)),
            lambda: wrong_share(net(held_out[0])[0], held_out[1], self.symbols),
        )
        entropy = examine(net, lambda: _cross_entropy(net, *held_out).item())
        return Copied(**vars(learned), cross_entropy=entropy)

    def _draw(self, count: int, chance: Generator) -> tuple[Tensor, Tensor]:
        return draw_copy(self.symbols, self.blanks, count, chance)


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    tasks: Sequence[CopyTask]
    hidden: int
    max_steps: int
    seeds: int
    check_every: int


FULL = Sizes(
    [CopyTask(symbols=3, blanks=blanks, batch=32, held_out=256) for blanks in (10, 20, 40)],
    hidden=64,
    max_steps=2000,
    seeds=3,
    check_every=50,
)
QUICK = Sizes(
    [CopyTask(symbols=2, blanks=blanks, batch=8, held_out=20) for blanks in (3, 6)],
    hidden=8,
    max_steps=4,
    seeds=1,
    check_every=2,
)


@dataclass(frozen=True)
class Round:
    """The race over one blank."""

    task: CopyTask
    results: Mapping[str, Sequence[Copied]]
    """The runs of every cell, a run a seed."""

    @property
    def name(self) -> str:
        """How the task is called."""
        return f"{self.task.blanks} blanks"


def run(options: Options) -> Findings:
    """Let all cells race over every blank."""
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    rounds = [Round(task, race(partial(_learn_one, sizes, task), seeds)) for task in sizes.tasks]
    return Findings(
        rows=[row for one in rounds for row in _rows(one)],
        draw=partial(
            draw_progress,
            panels=[_panel(one) for one in rounds],
            error="share of held-out symbols recalled wrongly",
        ),
        outcome=[
            *(verdict(one.name, one.results) for one in rounds),
            *(beaten(one) for one in rounds),
        ],
        seeds=seeds,
        setting=_setting(sizes),
    )


def wrong_share(read_TBO: Tensor, targets_TB: Tensor, symbols: int) -> float:
    """The share of the symbols at the end that are not the likeliest where they should be."""
    return (read_TBO[-symbols:].argmax(2) != targets_TB[-symbols:]).float().mean().item()


def beaten(one: Round) -> str:
    """Which cells do clearly better than guessing, in the median over the seeds."""
    entropies = {cell: _entropy(runs) for cell, runs in one.results.items()}
    limit = CLEARLY * one.task.baseline
    below = [f"{cell} ({entropy:.3f})" for cell, entropy in entropies.items() if entropy < limit]
    return (
        f"{one.name}: guessing costs {one.task.baseline:.3f} nats a step, and more than "
        f"{1 - CLEARLY:.0%} below that came {', '.join(below) or 'no cell'}."
    )


def _learn_one(sizes: Sizes, task: CopyTask, cell: Cell, seed: int) -> Copied:
    torch.manual_seed(seed)
    layer = build_layer(cell, COPY_INPUTS, sizes.hidden)
    training = Training(
        sizes.max_steps, learning_rate(layer), SOLVED_BELOW, check_every=sizes.check_every
    )
    return task.learn(layer, training, seed)


def _cross_entropy(net: Net, x_TBI: Tensor, targets_TB: Tensor) -> Tensor:
    """Mean over all steps, blanks included, in nats."""
    read_TBO, _ = net(x_TBI)
    return cross_entropy(read_TBO.flatten(0, 1), targets_TB.flatten())


def _entropy(runs: Sequence[Copied]) -> float:
    return median(run.cross_entropy for run in runs)


def _rows(one: Round) -> list[Row]:
    return [
        {
            "blanks": one.task.blanks,
            "cell": cell,
            **figures(runs),
            "cross_entropy": _entropy(runs),
            "guessing": one.task.baseline,
        }
        for cell, runs in one.results.items()
    ]


def _panel(one: Round) -> Panel:
    levels = {"solved": SOLVED_BELOW, "guessing": 1 - 1 / COPY_ALPHABET}
    return Panel(one.name, one.results, levels)


def _setting(sizes: Sizes) -> str:
    task = sizes.tasks[0]
    return (
        f"{task.symbols} symbols of an alphabet of {COPY_ALPHABET}, blanks, the sign to begin. "
        f"One layer of {sizes.hidden} units and a linear read-out, batches of {task.batch}, Adam "
        f"at {GATED_RATE:g} for cells with gates and {PLAIN_RATE:g} for those without, gradients "
        "clipped at a norm of 1; the loss is the mean over all steps, blanks included. A net stops "
        f"when less than {SOLVED_BELOW:.0%} of the symbols of {task.held_out} held-out sequences, "
        f"looked at every {sizes.check_every} steps, are recalled wrongly (solved), or after "
        f"{sizes.max_steps} steps. In the table, `steps` (of the seeds that solved it), `error` "
        "(the share recalled wrongly, at the end), `steps_per_s` (of processor time) and "
        "`cross_entropy` (held-out, nats a step) are medians over the seeds; `guessing` is the "
        "cross entropy of knowing all but the symbols; `largest_gradient` is the largest norm "
        "before clipping."
    )


STUDY = Study(
    name="copy",
    title="Copying symbols over a blank",
    expected=(
        "Hochreiter & Schmidhuber 1997: a memory cell with gates keeps what it was shown as long "
        "as it must, and a net without gates loses it. Arjovsky 2016 (section 4.1) is less kind: "
        "with ten symbols and blanks of 100 and more, an LSTM comes little or not at all below the "
        "cross entropy of guessing, and a tanh net not at all. So cells with gates should solve "
        "the short blanks, plain ones none, and all should do worse as the blank grows."
    ),
    run=run,
)
