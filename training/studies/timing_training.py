"""The training of many small nets side by side, each on its own streams, until they keep time.

A net reads nothing and is told nothing: it starts from a state of zeros and runs on its own output
and memory alone. A stream ends at the first error that is too large, which is how a net learns the
beginning first, or after a number of periods; then the net learns from it and starts anew.
Must not know: what is compared with what, tables, figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.studies.timing_nets import (
    WEIGHTS,
    Doubles,
    Streams,
    fresh_weights,
    sigmoid,
    used_weights,
)
from training.studies.timing_tasks import Task, examine

_DECAYS = (0.9, 0.99)
"""Of Adam's two means; the second is shorter than usual, as a stream that grows by a spike has
gradients of another size than those before."""
_TINY = 1e-8


@dataclass(frozen=True)
class Job:
    """One net to train."""

    task: Task
    peepholes: bool
    learning_rate: float
    seed: int


@dataclass(frozen=True)
class Plan:
    """How long nets are trained and examined."""

    steps: int
    """That every net takes, over all its streams."""
    stretch: int = 10
    """Periods after which a training stream ends, if no error ended it."""
    examination: int = 100
    """Periods without an error that show a task to be solved."""
    endurance: int = 1000
    """Periods for which a solution and the last weights are played after training."""
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
    solution_lasts: int
    """For how many periods those weights are right, up to the endurance; 0 without a solution."""
    end_lasts: int
    """For how many periods the last weights are."""
    longest: float
    """The longest training stream, in periods."""
    error: float
    """The last weights' root mean squared error over an examination; inf if they diverged."""


def train(jobs: Sequence[Job], plan: Plan) -> list[Outcome]:
    """Train a net for every job; what else is trained beside it does not change any."""
    with np.errstate(all="ignore"):  # a net that diverges shall not stop the others
        classroom = _Classroom(jobs, plan)
        for step in range(plan.steps):
            classroom.advance(step)
            if (step + 1) % plan.examine_every == 0 or step + 1 == plan.steps:
                classroom.examine()
        return classroom.outcomes()


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
        self.streams = Streams(nets)
        self.age_N, self.phase_N, self.longest_N, self.updates_N = np.zeros((4, nets), int)
        self.memory_MPN = np.zeros((3, WEIGHTS, nets))
        self.promising: dict[int, Solution] = {}
        """The last whole stream of each net that is unsolved, since the last examination."""
        self.solved: dict[int, Solution] = {}

    def advance(self, step: int) -> None:
        """One step of all nets; those whose streams end there learn from them."""
        sums_N = self.streams.advance(self.weights_PN)
        y_N = np.where(self.binary_N, sigmoid(sums_N), sums_N)
        error_N = y_N - self.targets[self.first_N + self.phase_N]
        by_sum_N = np.where(self.binary_N, error_N * y_N * (1 - y_N), error_N)
        self.streams.add_gradient(self.memory_MPN[0], self.weights_PN, by_sum_N)
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
        gradient, mean, square = self.memory_MPN[:, :, nets]
        gradient *= self.used_PN[:, nets] / self.age_N[nets]
        np.clip(gradient, -self.plan.clip, self.plan.clip, out=gradient)
        slow, slower = _DECAYS
        mean += (gradient - mean) * (1 - slow)
        square += (gradient**2 - square) * (1 - slower)
        self.memory_MPN[:, :, nets] = np.stack([np.zeros_like(gradient), mean, square])
        updates = self.updates_N[nets]
        size = np.sqrt(square / (1 - slower**updates)) + _TINY
        rate = self.rate_N[nets] * share / (1 - slow**updates)
        self.weights_PN[:, nets] -= rate * mean / size
        self.streams.restart(nets)
        self.age_N[nets] = 0
        self.phase_N[nets] = 0

    def examine(self) -> None:
        """Examine the last weights of each unsolved net that came through a whole stream."""
        for task in self.tasks:
            nets = [net for net in self.promising if self.jobs[net].task == task]
            weights = [self.promising[net].weights_P for net in nets]
            lasts = zip(nets, _periods(task, weights, self.plan.examination), strict=True)
            passed = [net for net, periods in lasts if periods == self.plan.examination]
            self.solved |= {net: self.promising[net] for net in passed}
        self.promising = {}

    def outcomes(self) -> list[Outcome]:
        """What became of every net."""
        found: dict[int, Outcome] = {}
        for task in self.tasks:
            nets = [net for net, job in enumerate(self.jobs) if job.task == task]
            solved = [net for net in nets if net in self.solved]
            solutions = [self.solved[net].weights_P for net in solved]
            endurance = self.plan.endurance
            solution_lasts = dict(zip(solved, _periods(task, solutions, endurance), strict=True))
            end_lasts = _periods(task, list(self.weights_PN.T[nets]), endurance)
            _, error_N = examine(task, self.weights_PN[:, nets], self.plan.examination)
            for net, end, error in zip(nets, end_lasts, error_N.tolist(), strict=True):
                longest = float(max(self.longest_N[net], self.age_N[net]) / task.period)
                lasts = solution_lasts.get(net, 0)
                found[net] = Outcome(self.solved.get(net), lasts, end, longest, error)
        return [found[net] for net in range(len(self.jobs))]


def _periods(task: Task, weights: Sequence[Doubles], periods: int) -> list[int]:
    """For how many periods each of some weights [P] are right."""
    if not weights:
        return []
    right_N, _ = examine(task, np.stack(weights, axis=1), periods)
    return [int(right) for right in right_N]
