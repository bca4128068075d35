"""The findings of the study `mitigations`: the best rate of each remedy, a table, sentences.

Must not know: nets, training, figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from training.config import Cell, Normalization, Start
from training.studies.learner import Learned
from training.studies.race import figures
from training.studies.study import Row


@dataclass(frozen=True)
class Remedy:
    """What is done to the layer."""

    name: str
    cell: Cell
    normalization: Normalization = "none"
    start: Start = "uniform"


@dataclass(frozen=True)
class Trial:
    """The runs of one remedy at one learning rate, a run a seed."""

    remedy: Remedy
    clip: float | None
    rate: float
    runs: Sequence[Learned]

    @property
    def name(self) -> str:
        """The remedy's, or that of the clip where there is nothing else."""
        return "clipping" if self.clip and self.remedy.name == "nothing" else self.remedy.name

    @property
    def solved(self) -> int:
        """How many seeds solved the task."""
        return sum(run.solved for run in self.runs)

    @property
    def diverged(self) -> int:
        """How many seeds diverged."""
        return sum(run.diverged for run in self.runs)

    @property
    def error(self) -> float:
        """The held-out error at the end, the median over the seeds."""
        return median(run.error for run in self.runs)

    @property
    def steps_per_s(self) -> float:
        """Of processor time, the median over the seeds."""
        return median(run.steps_per_s for run in self.runs)


def best_of(trials: Sequence[Trial]) -> list[Trial]:
    """Of every remedy, without and with a clip, the trial at its best learning rate."""
    best: dict[tuple[Remedy, float | None], Trial] = {}
    for trial in sorted(trials, key=lambda t: (-t.solved, t.error)):
        best.setdefault((trial.remedy, trial.clip), trial)
    return [trial for trial in trials if trial is best[trial.remedy, trial.clip]]


def rows(trials: Sequence[Trial], best: Sequence[Trial]) -> list[Row]:
    """A row a trial."""
    return [
        {
            "remedy": trial.name,
            "gradient": "alone" if trial.clip is None else "clipped",
            "learning_rate": trial.rate,
            "best": "yes" if trial in best else "no",
            **figures(trial.runs),
        }
        for trial in trials
    ]


def sentences(trials: Sequence[Trial], best: Sequence[Trial]) -> list[str]:
    """What came out."""
    alone = [trial for trial in best if trial.clip is None]
    clipped = [trial for trial in best if trial.clip is not None]
    return [
        f"Seeds that solved it, each remedy alone: {_standing(alone)}.",
        f"With clipping: {_standing(clipped)}.",
        _effect_of_clip(alone, clipped),
        _explosions(trials),
        _cost(alone),
    ]


def _standing(best: Sequence[Trial]) -> str:
    """The remedies by what they reached, the best first."""
    ranked = sorted(best, key=lambda trial: (-trial.solved, trial.error))
    return ", ".join(
        f"{trial.name} {trial.solved} of {len(trial.runs)} "
        f"(error {trial.error:.3f} at rate {trial.rate:g})"
        for trial in ranked
    )


def _effect_of_clip(alone: Sequence[Trial], clipped: Sequence[Trial]) -> str:
    """By how many solved seeds the clip changed each result."""
    changes = [
        f"{with_clip.solved - without.solved:+d} {without.remedy.name}"
        for without, with_clip in zip(alone, clipped, strict=True)
    ]
    return f"Solved more or fewer with the clip than without: {', '.join(changes)}."


def _explosions(trials: Sequence[Trial]) -> str:
    """How many runs diverged at any rate, and how large gradients became where nothing clips."""
    runs = sum(len(trial.runs) for trial in trials)
    diverged = sum(trial.diverged for trial in trials)
    largest: dict[str, float] = {}
    for trial in (trial for trial in trials if trial.clip is None):
        seen = max(run.largest_gradient for run in trial.runs)
        largest[trial.name] = max(seen, largest.get(trial.name, 0.0))
    norms = ", ".join(f"{norm:.2g} {name}" for name, norm in largest.items())
    return (
        f"{diverged} of {runs} runs diverged, over all rates. Largest norm of a gradient without "
        f"a clip, at any rate: {norms}."
    )


def _cost(alone: Sequence[Trial]) -> str:
    """What a step costs beside the plain net's."""
    plain = next(trial for trial in alone if trial.remedy.name == "nothing")
    costs = ", ".join(
        f"{plain.steps_per_s / trial.steps_per_s:.1f} {trial.name}"
        for trial in alone
        if trial is not plain
    )
    return f"A step's processor time, beside the plain net's of 1: {costs}."
