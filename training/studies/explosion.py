"""Nets whose gradients may explode, trained by plain gradient descent with and without a clip.

Plain descent, because Adam divides every gradient by its recent size and so hides its explosion.
Must not know: figures, reports.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from training.cells import Layer, build_layer
from training.config import Cell, Start
from training.studies.gradient_flow import spectral_radius
from training.studies.learner import Net
from training.studies.recall import INPUTS, SYMBOLS, Recall

JUMP = 3.0
"""A loss of so many times the first one counts as a jump; the first is that of guessing."""
BATCH = 32


@dataclass(frozen=True)
class Subject:
    """A net to be trained, and what is done to its recurrent weights first."""

    name: str
    cell: Cell
    start: Start = "uniform"
    radius: float | None = None
    """The spectral radius of normally distributed recurrent weights; None leaves the cell's own."""

    def build(self, hidden: int) -> Layer:
        """A fresh layer."""
        layer = build_layer(self.cell, INPUTS, hidden, start=self.start)
        if self.radius is not None:
            with torch.no_grad():
                nn.init.normal_(layer.weight_hh)
                layer.weight_hh.mul_(self.radius / spectral_radius(layer.weight_hh))
        return layer


SUBJECTS = (
    Subject("rnn_tanh (radius 1.5)", "rnn_tanh", radius=1.5),
    Subject("rnn_relu (radius 1.5)", "rnn_relu", radius=1.5),
    Subject("rnn_relu (identity)", "rnn_relu", start="identity"),
    Subject("lstm", "lstm"),
)
"""Two above the radius of 1 that explosion needs (Pascanu 2013), one at it, and a gated one."""


@dataclass(frozen=True)
class Descent:
    """How a run of gradient descent went."""

    largest_gradient: float
    """The largest finite norm over all weights, before any clip."""
    jumped: bool
    """Whether a finite loss came to `JUMP` times the first."""
    diverged: bool
    """Whether loss or gradient stopped being finite."""


@dataclass(frozen=True)
class Series:
    """The runs of one subject, one a seed."""

    subject: Subject
    clip: float | None
    runs: Sequence[Descent]

    @property
    def largest_gradient(self) -> float:
        """The median over the runs of the largest gradient each saw."""
        return median(run.largest_gradient for run in self.runs)

    @property
    def jumped(self) -> float:
        """The share of runs whose loss jumped."""
        return fmean(run.jumped for run in self.runs)

    @property
    def diverged(self) -> float:
        """The share of runs that diverged."""
        return fmean(run.diverged for run in self.runs)


def descend(
    subject: Subject, task: Recall, hidden: int, steps: int, rate: float, clip: float | None
) -> Descent:
    """Train a net until it diverges or has taken its steps, and watch loss and gradient."""
    net = Net(subject.build(hidden), SYMBOLS)
    optimizer = torch.optim.SGD(net.parameters(), rate)
    losses: list[float] = []
    norms: list[float] = []
    for _ in range(steps):
        x_TBI, y_B = task.anywhere(BATCH)
        loss = cross_entropy(net.at_end(x_TBI), y_B)
        optimizer.zero_grad()
        loss.backward()
        limit = math.inf if clip is None else clip
        norm = nn.utils.clip_grad_norm_(net.parameters(), limit).item()
        if not (math.isfinite(loss.item()) and math.isfinite(norm)):
            break
        losses.append(loss.item())
        norms.append(norm)
        optimizer.step()
    return Descent(
        largest_gradient=max(norms, default=math.inf),
        jumped=any(loss > JUMP * losses[0] for loss in losses),
        diverged=len(losses) < steps,
    )
