"""What the study `timing` found, as a table and as sentences made from the numbers.

Must not know: how nets are trained, figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from training.studies.study import Row
from training.studies.timing_nets import used_weights
from training.studies.timing_tasks import Task
from training.studies.timing_training import Outcome, Solution

_Z_95 = 1.959964
"""Of the normal distribution, 95 % lie within so many standard deviations."""


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % confidence interval of a success rate (Wilson 1927)."""
    rate, square = successes / trials, _Z_95**2 / trials
    centre = (rate + square / 2) / (1 + square)
    half = math.sqrt(rate * (1 - rate) * square + square**2 / 4) / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Group:
    """The nets of one task with peepholes, or without, one a seed."""

    task: Task
    peepholes: bool
    outcomes: Sequence[Outcome]

    @property
    def solutions(self) -> list[Solution]:
        """Those of the nets that have one."""
        return [outcome.solution for outcome in self.outcomes if outcome.solution is not None]

    @property
    def rate(self) -> float:
        """The share of nets that solved the task."""
        return len(self.solutions) / len(self.outcomes)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate."""
        return wilson(len(self.solutions), len(self.outcomes))

    def is_surely_above(self, other: Group) -> bool:
        """Whether the whole interval lies above the other's."""
        return self.interval[0] > other.interval[1]

    @property
    def row(self) -> Row:
        """A row of the table; what has no number where nothing was solved is left empty."""
        low, high = self.interval
        found = self.solutions
        return {
            "task": self.task.shape,
            "period": self.task.period,
            "peepholes": "yes" if self.peepholes else "no",
            "weights": int(used_weights(peepholes=self.peepholes).sum()),
            "seeds": len(self.outcomes),
            "solved": len(found),
            "rate": self.rate,
            "95 % low": low,
            "95 % high": high,
            "steps": int(median(solution.steps for solution in found)) if found else "",
            "streams": int(median(solution.streams for solution in found)) if found else "",
            "longest (periods)": median(outcome.longest for outcome in self.outcomes),
            "RMS error": median(outcome.error for outcome in self.outcomes),
            "RMS error of a constant": float(self.task.target_T.std()),
        }

    def __str__(self) -> str:
        low, high = self.interval
        where = "with" if self.peepholes else "without"
        return f"{len(self.solutions)} of {len(self.outcomes)} {where} ({low:.0%} to {high:.0%})"


@dataclass(frozen=True)
class Pair:
    """The nets of one task with peepholes and those without."""

    seeing: Group
    blind: Group

    @property
    def verdict(self) -> str:
        """Which of the two is better, if the intervals tell."""
        if self.seeing.is_surely_above(self.blind):
            return "peepholes help"
        if self.blind.is_surely_above(self.seeing):
            return "peepholes hinder"
        return "the intervals overlap"

    def __str__(self) -> str:
        speeds = [group.row["steps"] for group in (self.seeing, self.blind) if group.solutions]
        took = f"; the median solution took {' and '.join(f'{s:,}' for s in speeds)} steps"
        return (
            f"{self.seeing.task.name}: solved by {self.seeing} and {self.blind}: {self.verdict}"
            f"{took if len(speeds) == 2 else ''}."
        )


def sentences(pairs: Sequence[Pair]) -> list[str]:
    """What came out: a sentence a task, then what they come to, held against the paper."""
    return [*map(str, pairs), _summary(pairs), *_against_the_paper(pairs)]


def _summary(pairs: Sequence[Pair]) -> str:
    verdicts = [pair.verdict for pair in pairs]
    counts = ", ".join(f"{v} in {verdicts.count(v)}" for v in dict.fromkeys(verdicts))
    seeing = sum(len(pair.seeing.solutions) for pair in pairs)
    blind = sum(len(pair.blind.solutions) for pair in pairs)
    return (
        f"Of {len(pairs)} tasks: {counts}. Over all of them, {seeing} nets with peepholes solved "
        f"their task and {blind} without."
    )


def _against_the_paper(pairs: Sequence[Pair]) -> list[str]:
    """Which spikes were learnt by whom, and what nobody learnt."""
    spikes = [pair for pair in pairs if pair.seeing.task.is_binary]
    found = {
        "Spikes learnt without peepholes, against the paper": [p for p in spikes if p.blind.rate],
        "Spikes learnt with peepholes only, as in the paper": [
            p for p in spikes if p.seeing.rate and not p.blind.rate
        ],
        "Functions on which peepholes helped, as in the paper": [
            p for p in pairs if p not in spikes and p.verdict == "peepholes help"
        ],
        "Learnt by no net in the time given": [
            p for p in pairs if not p.seeing.rate and not p.blind.rate
        ],
    }
    return [f"{what}: {_names(those)}." for what, those in found.items()]


def _names(pairs: Sequence[Pair]) -> str:
    return ", ".join(pair.seeing.task.name for pair in pairs) or "none"
