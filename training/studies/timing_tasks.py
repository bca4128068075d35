"""Tasks of timing: targets that repeat themselves, and what it takes to keep to them.

Must not know: how weights are learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.studies.timing_nets import Doubles, play, sigmoid

Counts = NDArray[np.int64]
Shape = Literal["spikes", "cosine", "triangle", "rectangle"]


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


def play_task(task: Task, weights_PN: Doubles, periods: int) -> Doubles:
    """Let nets of a task run on their own, from the start; their outputs [T, N]."""
    sums_TN = play(weights_PN, task.period * periods)
    return sigmoid(sums_TN) if task.is_binary else sums_TN


def examine(task: Task, weights_PN: Doubles, periods: int) -> tuple[Counts, Doubles]:
    """Let nets of a task run on their own: whole periods before the first error, and RMS error.

    Both [N]; the error is inf where the output left what float64 can hold.
    """
    target_T = np.tile(task.target_T, periods)
    error_TN = play_task(task, weights_PN, periods) - target_T[:, None]
    error_NT = np.ascontiguousarray(error_TN.T)  # a net's mean is the same beside any others
    rms_N = np.sqrt(np.mean(error_NT**2, axis=1))
    wrong_NT = ~(np.abs(error_NT) < task.tolerance)
    right_N = np.where(wrong_NT.any(axis=1), wrong_NT.argmax(axis=1), len(target_T))
    return right_N // task.period, np.where(np.isfinite(rms_N), rms_N, np.inf)
