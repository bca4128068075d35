"""Tasks of timing, and the training of many nets side by side until they keep time by themselves.

Must not know: what is compared with what, tables, figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.studies.timing_nets import (
    WEIGHTS,
    Doubles,
    Streams,
    fresh_weights,
    play,
    sigmoid,
    used_weights,
)

Shape = Literal["spikes", "cosine", "triangle", "rectangle"]
_DECAYS = (0.9, 0.99)
"""Of Adam's two means; the second is shorter than usual, as a stream that grows by a spike has
gradients of another size than those before."""
_TINY = 1e-8


@dataclass(frozen=True)
class Task:
    """A target that repeats itself, the same for all nets that have it."""

    shape: Shape
    period: int
    """In steps."""

    @property
    def name(self) -> str:
        """For tables and figures."""
        return f"{self.shape} {self.period}"

    @property
    def is_binary(self) -> bool:
        """Whether the output is squashed to between 0 and 1, and how exact it has to be."""
        return self.shape == "spikes"

    @property
    def tolerance(self) -> float:
        """The error that is too large (Gers 2002)."""
        return 0.49 if self.is_binary else 0.3

    @property
    def target_T(self) -> Doubles:  # noqa: N802  # its axis
        """One period; the first step after the start has phase 1 / period, the last has 1."""
        phase_T = np.arange(1, self.period + 1) / self.period
        match self.shape:
            case "spikes":
                return np.where(phase_T == 1, 1.0, 0.0)
            case "cosine":
                return np.asarray((1 - np.cos(2 * np.pi * phase_T)) / 2)
            case "triangle":
                return np.asarray(1 - np.abs(2 * phase_T - 1))
            case "rectangle":
                return np.where(phase_T > 1 / 2, 1.0, 0.0)


@dataclass(frozen=True)
class Job:
    """One net to train."""

    task: Task
    peepholes: bool
    seed: int
    learning_rate: float


@dataclass(frozen=True)
class Plan:
    """How long nets are trained and examined."""

    steps: int
    """That every net takes, over all its streams."""
    stretch: int = 10
    """Periods after which a training stream ends, if no error ended it."""
    examination: int = 100
    """Periods without an error that show a task to be solved."""
    clip: float = 1.0
    """Of each component of a net's gradient."""
    examine_every: int = 10_000
    """Steps."""


@dataclass(frozen=True)
class Solution:
    """Weights, and what it took to find them."""

    steps: int
    streams: int
    """Whole ones before that which these weights came through."""
    weights_P: Doubles


@dataclass(frozen=True)
class Outcome:
    """What became of a net."""

    solution: Solution | None
    """The first weights that passed an examination; None if none did."""
    longest: float
    """The longest training stream, in periods."""
    error: float
    """Root of the mean squared error over an examination after training; inf if it diverged."""


def train(jobs: Sequence[Job], plan: Plan) -> list[Outcome]:
    """Train a net for every job; what else is trained beside it does not change any."""
    with np.errstate(all="ignore"):  # a net that diverges shall not stop the others
        classroom = _Classroom(jobs, plan)
        for step in range(plan.steps):
            classroom.advance(step)
            if (step + 1) % plan.examine_every == 0 or step + 1 == plan.steps:
                classroom.examine()
        return classroom.outcomes()


def play_task(task: Task, weights_PN: Doubles, periods: int) -> Doubles:
    """Let nets of a task run on their own, from the start; their outputs [T, N]."""
    sums_TN = play(weights_PN, task.period * periods)
    return sigmoid(sums_TN) if task.is_binary else sums_TN


def examine(task: Task, weights_PN: Doubles, periods: int) -> tuple[NDArray[np.bool_], Doubles]:
    """Let nets of a task run on their own: whether each was right throughout, and its RMS error.

    Both [N]; the error is inf where the output left what float64 can hold.
    """
    target_T = np.tile(task.target_T, periods)
    error_TN = play_task(task, weights_PN, periods) - target_T[:, None]
    rms_N = np.sqrt(np.mean(error_TN**2, axis=0))
    right_N = np.all(np.abs(error_TN) < task.tolerance, axis=0)
    return right_N, np.where(np.isfinite(rms_N), rms_N, np.inf)


class _Classroom:
    """Nets in training, each with its own streams, moments and number of updates."""

    def __init__(self, jobs: Sequence[Job], plan: Plan) -> None:
        self.jobs, self.plan = jobs, plan
        nets = len(jobs)
        self.tasks = list(dict.fromkeys(job.task for job in jobs))
        firsts = np.cumsum([0, *(task.period for task in self.tasks)])
        self.targets = np.concatenate([task.target_T for task in self.tasks])
        self.first_N = np.array([firsts[self.tasks.index(job.task)] for job in jobs])
        self.period_N = np.array([job.task.period for job in jobs])
        self.binary_N = np.array([job.task.is_binary for job in jobs])
        self.tolerance_N = np.array([job.task.tolerance for job in jobs])
        self.rate_N = np.array([job.learning_rate for job in jobs])
        self.used_PN = np.stack([used_weights(peepholes=j.peepholes) for j in jobs], axis=1) * 1.0
        self.weights_PN = np.stack(
            [fresh_weights(job.seed, peepholes=job.peepholes) for job in jobs], axis=1
        )
        self.streams = Streams.begin(nets)
        self.age_N, self.phase_N, self.longest_N, self.updates_N = np.zeros((4, nets), int)
        self.gradient_PN, self.mean_PN, self.square_PN = np.zeros((3, WEIGHTS, nets))
        self.promising: dict[int, Solution] = {}
        """The last whole stream of each net that is unsolved, since the last examination."""
        self.solved: dict[int, Solution] = {}

    def advance(self, step: int) -> None:
        """One step of all nets; those whose streams end there learn from them."""
        sums_N = self.streams.advance(self.weights_PN)
        y_N = np.where(self.binary_N, sigmoid(sums_N), sums_N)
        error_N = y_N - self.targets[self.first_N + self.phase_N]
        by_sum_N = np.where(self.binary_N, error_N * y_N * (1 - y_N), error_N)
        self.streams.add_gradient(self.gradient_PN, self.weights_PN, by_sum_N)
        self.age_N += 1
        self.phase_N += 1
        self.phase_N[self.phase_N == self.period_N] = 0
        right_N = np.abs(error_N) < self.tolerance_N
        done_N = self.age_N == self.plan.stretch * self.period_N
        for net in np.flatnonzero(done_N & right_N).tolist():
            if net not in self.solved:
                weights_P = self.weights_PN[:, net].copy()
                self.promising[net] = Solution(step + 1, int(self.updates_N[net]), weights_P)
        ended = np.flatnonzero(done_N | ~right_N)
        if len(ended):
            self._learn(ended, 1 - step / self.plan.steps)

    def _learn(self, nets: NDArray[np.intp], share: float) -> None:
        """Update some nets by Adam (Kingma & Ba 2015) with a share of their rate, and restart."""
        self.longest_N[nets] = np.maximum(self.longest_N[nets], self.age_N[nets])
        self.updates_N[nets] += 1
        gradient = self.gradient_PN[:, nets] / self.age_N[nets] * self.used_PN[:, nets]
        gradient = np.clip(gradient, -self.plan.clip, self.plan.clip)
        slow, slower = _DECAYS
        mean = self.mean_PN[:, nets] * slow + gradient * (1 - slow)
        square = self.square_PN[:, nets] * slower + gradient**2 * (1 - slower)
        self.mean_PN[:, nets], self.square_PN[:, nets] = mean, square
        updates = self.updates_N[nets]
        size = np.sqrt(square / (1 - slower**updates)) + _TINY
        rate = self.rate_N[nets] * share / (1 - slow**updates)
        self.weights_PN[:, nets] -= rate * mean / size
        self.streams.restart(nets)
        self.gradient_PN[:, nets] = 0
        self.age_N[nets] = 0
        self.phase_N[nets] = 0

    def examine(self) -> None:
        """Examine the last weights of each unsolved net that came through a whole stream."""
        for task in self.tasks:
            nets = [net for net in self.promising if self.jobs[net].task == task]
            if nets:
                weights_PN = np.stack([self.promising[net].weights_P for net in nets], axis=1)
                passed, _ = examine(task, weights_PN, self.plan.examination)
                self.solved |= {n: self.promising[n] for n, ok in zip(nets, passed) if ok}
        self.promising = {}

    def outcomes(self) -> list[Outcome]:
        """What became of every net, by one last examination."""
        longest_N = np.maximum(self.longest_N, self.age_N) / self.period_N
        error_N = np.empty(len(self.jobs))
        for task in self.tasks:
            nets = [net for net, job in enumerate(self.jobs) if job.task == task]
            _, error_N[nets] = examine(task, self.weights_PN[:, nets], self.plan.examination)
        return [
            Outcome(self.solved.get(net), float(longest), float(error))
            for net, (longest, error) in enumerate(zip(longest_N, error_N, strict=True))
        ]
