"""Study `gradients`: how far back a gradient reaches, and what happens where it grows instead.

Must not know: how a gradient is measured, how figures are drawn.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from training.cells import build_layer
from training.config import CELLS, Cell, Start
from training.studies import gradients_told as told
from training.studies.explosion import BATCH, JUMP, SUBJECTS, Descent, Series, Subject, descend
from training.studies.gradient_flow import Curve, state_gradients, transport
from training.studies.gradients_figure import draw
from training.studies.learner import Net, Training, learn
from training.studies.recall import INPUTS, SYMBOLS, Recall
from training.studies.study import Findings, Options, Study

DISTANCE = told.FAR
"""Steps between the first step, where the symbol may stand, and the last."""
SEQUENCES = 64
"""Measured a net."""


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    hidden: int
    steps: int
    """Of training for the second measurement, by Adam."""
    descent_steps: int
    """Of plain gradient descent, for the third."""
    seeds: int
    learning_rate: float = 5e-3
    descent_rate: float = 0.3
    clip: float = 1.0


FULL = Sizes(hidden=48, steps=600, descent_steps=150, seeds=5)
QUICK = Sizes(hidden=8, steps=4, descent_steps=4, seeds=2)


@dataclass(frozen=True)
class Kind:
    """A cell and how it starts."""

    cell: Cell
    start: Start = "uniform"

    @property
    def name(self) -> str:
        """For tables and figures."""
        return self.cell if self.start == "uniform" else f"{self.cell} ({self.start})"


@dataclass(frozen=True)
class Probe:
    """One net before and after its training."""

    before_T: Tensor
    """The share of the gradient by distance, see `transport`."""
    after_T: Tensor
    recall: float
    """The share of symbols recalled after training, shown at the first step."""


def run(options: Options) -> Findings:
    """Probe every cell before and after training, then let plain nets explode."""
    started_s = time.process_time()
    sizes = QUICK if options.quick else FULL
    seeds = options.seeds or sizes.seeds
    kinds = [Kind(cell) for cell in CELLS]
    kinds.insert(CELLS.index("rnn_relu") + 1, Kind("rnn_relu", "identity"))
    probes = {kind: [_probe(kind, sizes, seed) for seed in _numbers(seeds)] for kind in kinds}
    before = [_curve(kind, [probe.before_T for probe in probes[kind]]) for kind in kinds]
    after = [
        _curve(kind, [p.after_T for p in probes[kind]], [p.recall for p in probes[kind]])
        for kind in kinds
    ]
    series = _descents(sizes, seeds)
    return Findings(
        rows=told.rows(before, after, series),
        draw=partial(draw, before=before, after=after, series=series),
        outcome=[
            *told.sentences(before, after, series),
            f"All took {(time.process_time() - started_s) / 60:.1f} minutes of processor time.",
        ],
        seeds=seeds,
        setting=_setting(sizes),
    )


def _probe(kind: Kind, sizes: Sizes, seed: int) -> Probe:
    torch.manual_seed(seed)
    task = Recall(DISTANCE + 1, torch.Generator().manual_seed(seed))
    net = Net(build_layer(kind.cell, INPUTS, sizes.hidden, start=kind.start), SYMBOLS)
    measured = task.at_start(SEQUENCES)
    before_T = transport(state_gradients(net.layer, net.read_out, *measured))

    def batch_loss() -> Tensor:
        x_TBI, y_B = task.anywhere(BATCH)
        return cross_entropy(net.at_end(x_TBI), y_B)

    def error() -> float:
        x_TBI, y_B = task.at_start(8 * SEQUENCES)
        return float((net.at_end(x_TBI).argmax(1) != y_B).float().mean())

    never = -1.0  # all nets train equally long
    training = Training(
        max_steps=sizes.steps,
        learning_rate=sizes.learning_rate,
        solved_below=never,
        clip=sizes.clip,
        check_every=sizes.steps,
    )
    learned = learn(net, training, batch_loss, error)
    after_T = transport(state_gradients(net.layer, net.read_out, *measured))
    return Probe(before_T, after_T, 0.0 if learned.diverged else 1 - learned.error)


def _curve(kind: Kind, shares: Sequence[Tensor], recalls: Sequence[float] = ()) -> Curve:
    return Curve(kind.name, torch.stack(list(shares)), recalls)


def _descents(sizes: Sizes, seeds: int) -> list[Series]:
    """Every subject without a clip, then with it."""
    return [
        Series(subject, clip, [_descent(subject, clip, sizes, seed) for seed in _numbers(seeds)])
        for subject in SUBJECTS
        for clip in (None, sizes.clip)
    ]


def _descent(subject: Subject, clip: float | None, sizes: Sizes, seed: int) -> Descent:
    torch.manual_seed(seed)
    task = Recall(DISTANCE + 1, torch.Generator().manual_seed(seed))
    return descend(subject, task, sizes.hidden, sizes.descent_steps, sizes.descent_rate, clip)


def _numbers(seeds: int) -> range:
    return range(1, seeds + 1)


def _setting(sizes: Sizes) -> str:
    return f"""\
Task: one of {SYMBOLS} symbols is shown once at a random step among distractors and asked for after
step {DISTANCE + 1}; guessing recalls {1 / SYMBOLS:.0%}. Nets: one layer of {sizes.hidden} units and
a linear read-out. Measured is the norm of the derivative of the last step's cross entropy with
respect to the state d steps before, h or (h, c) as one vector, divided by the norm at d = 0: the
layer runs one step at a time and automatic differentiation through the graph of states gives the
whole derivative, exact to rounding, in double precision. A curve is the median over {SEQUENCES}
sequences whose symbol stands at the first step; the table has medians and quartiles over the seeds,
and the factor a step between the distances {told.NEAR} and {told.FAR}. Training: {sizes.steps}
steps of {BATCH} sequences, Adam at {sizes.learning_rate:g}, gradients clipped at {sizes.clip:g}.
Recall is measured with the symbol at the first step. Descent: {sizes.descent_steps} steps of plain
gradient descent at {sizes.descent_rate:g} on the same task; a run diverged if loss or gradient
stopped being finite, its loss jumped if it came to {JUMP:g} times the first one."""


STUDY = Study(
    name="gradients",
    title="Gradients against distance in time",
    expected="""\
In a plain RNN the gradient is a product of one Jacobian a step, so it shrinks or grows
exponentially with the distance (Hochreiter 1991; Bengio 1994). If it stores something robustly, it
must shrink (Bengio 1994). Growth needs a spectral radius of the recurrent weights above
1 for tanh, and clipping the gradient's norm tames it (Pascanu 2013). The LSTM's memory cell passes
its gradient on unchanged but for the forget gate (Hochreiter & Schmidhuber 1997; Gers 2000), the
GRU's state does so where its update gate is open (Cho 2014), and a ReLU RNN that begins as the
identity begins with a factor near 1 (Le 2015).""",
    run=run,
)
