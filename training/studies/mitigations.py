"""Study `mitigations`: what each remedy for the plain recurrent net does alone, and with a clip.

Must not know: how a net learns, how figures are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from training.cells import build_layer
from training.studies.adding import SOLVED_BELOW, AddingTask
from training.studies.learner import Learned, Training
from training.studies.mitigations_figure import draw
from training.studies.mitigations_told import Remedy, Trial, best_of, rows, sentences
from training.studies.study import Findings, Options, Study

REMEDIES = (
    Remedy("nothing", "rnn_tanh"),
    Remedy("ReLU", "rnn_relu"),
    Remedy("ReLU from identity", "rnn_relu", start="identity"),
    Remedy("batch norm", "rnn_tanh", normalization="batch"),
    Remedy("layer norm", "rnn_tanh", normalization="layer"),
    Remedy("LSTM", "lstm"),
)
"""Clipping is a remedy too: every other is tried without it, that is alone, and with it."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    task: AddingTask
    hidden: int
    max_steps: int
    rates: Sequence[float]
    seeds: int
    check_every: int
    clip: float = 1.0


FULL = Sizes(
    AddingTask(length=40, batch=32, held_out=1000),
    hidden=32,
    max_steps=1500,
    rates=(1e-3, 3e-3, 1e-2),
    seeds=5,
    check_every=50,
)
QUICK = Sizes(
    AddingTask(length=6, batch=4, held_out=20),
    hidden=8,
    max_steps=4,
    rates=(1e-3, 1e-2),
    seeds=1,
    check_every=2,
)


def run(options: Options) -> Findings:
    """Try every remedy without and with a clip at every learning rate, and keep the best rate."""
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    trials = [
        _try(sizes, remedy, clip, rate, seeds)
        for clip in (None, sizes.clip)
        for remedy in REMEDIES
        for rate in sizes.rates
    ]
    best = best_of(trials)
    return Findings(
        rows=rows(trials, best),
        draw=partial(draw, trials=best, solved_below=SOLVED_BELOW, baseline=sizes.task.baseline),
        outcome=sentences(trials, best),
        seeds=seeds,
        setting=_setting(sizes),
    )


def _try(sizes: Sizes, remedy: Remedy, clip: float | None, rate: float, seeds: int) -> Trial:
    runs = [_learn_one(sizes, remedy, clip, rate, seed) for seed in range(1, seeds + 1)]
    return Trial(remedy, clip, rate, runs)


def _learn_one(sizes: Sizes, remedy: Remedy, clip: float | None, rate: float, seed: int) -> Learned:
    torch.manual_seed(seed)
    layer = build_layer(
        remedy.cell,
        2,
        sizes.hidden,
        normalization=remedy.normalization,
        start=remedy.start,
    )
    training = Training(sizes.max_steps, rate, SOLVED_BELOW, clip, sizes.check_every)
    return sizes.task.learn(layer, training, seed)


def _setting(sizes: Sizes) -> str:
    task = sizes.task
    rates = ", ".join(f"{rate:g}" for rate in sizes.rates)
    return (
        f"The adding problem of the study `adding` in sequences of {task.length} steps; one layer "
        f"of {sizes.hidden} units, a linear read-out after the last step, batches of {task.batch}, "
        f"Adam. Each remedy is added to a tanh net alone (`alone`) and together with clipping the "
        f"gradient at a norm of {sizes.clip:g} (`clipped`; nothing else but it is clipping alone); "
        f"the LSTM is there for orientation. Every one is given the same learning rates ({rates}) "
        "and seeds; sentences and figure show its best rate, by seeds that solved it and then by "
        "the median held-out error, so on the data it was chosen by. A net stops when its mean "
        f"squared error on {task.held_out} held-out sequences, looked at every {sizes.check_every} "
        f"steps, is below {SOLVED_BELOW:g} (solved), or after {sizes.max_steps} steps. In the "
        "table, `steps` (of the seeds that solved it), `error` (held-out, at the end) and "
        "`steps_per_s` (of processor time) are medians over the seeds, `largest_gradient` is the "
        "largest norm before clipping."
    )


STUDY = Study(
    name="mitigations",
    title="Remedies for the plain recurrent net",
    expected=(
        "Pascanu 2013: clipping the gradient's norm cures explosion, not vanishing. Le 2015: ReLU "
        "with recurrent weights that start as the identity learns what an LSTM learns, ReLU with "
        "the usual start does not. Laurent 2015: batch normalisation of the input products speeds "
        "learning up a little; Cooijmans 2016: normalising the recurrent products too is what "
        "helps over long spans (here only the input products are). Ba 2016: layer normalisation "
        "steadies the hidden state and speeds learning up."
    ),
    run=run,
)
