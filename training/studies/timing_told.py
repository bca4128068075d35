"""What the study `timing` found, as a table and as sentences made from the numbers.

Must not know: how nets are trained, figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from training.studies.study import Row
from training.studies.timing_tasks import Task
from training.studies.timing_training import Outcome, Solution

_Z_95 = 1.959964
"""95 % of a normal distribution lie within so many standard deviations."""


@dataclass(frozen=True)
class Share:
    """How many of some nets did something."""

    successes: int
    trials: int

    @property
    def rate(self) -> float:
        """Between 0 and 1."""
        return self.successes / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the rate (Wilson 1927)."""
        square = _Z_95**2 / self.trials
        centre = (self.rate + square / 2) / (1 + square)
        half = math.sqrt(self.rate * (1 - self.rate) * square + square**2 / 4) / (1 + square)
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.successes} of {self.trials} ({100 * low:.0f} to {100 * high:.0f} %)"


@dataclass(frozen=True)
class Group:
    """The nets of one task, one a seed, with peepholes or without, at one learning rate."""

    task: Task
    peepholes: bool
    learning_rate: float
    outcomes: Sequence[Outcome]

    @property
    def solutions(self) -> list[Solution]:
        """Those of the nets that have one."""
        return [outcome.solution for outcome in self.outcomes if outcome.solution is not None]

    @property
    def solved(self) -> Share:
        """The nets that at some time passed an examination."""
        return Share(len(self.solutions), len(self.outcomes))

    @property
    def enduring(self) -> Share:
        """The nets whose solution was right for much longer, too."""
        return Share(sum(outcome.endures for outcome in self.outcomes), len(self.outcomes))

    @property
    def right_at_end(self) -> Share:
        """The nets that pass an examination after all of their training."""
        return Share(sum(outcome.right_at_end for outcome in self.outcomes), len(self.outcomes))

    @property
    def steps(self) -> float:
        """To the solution, the median over the nets that have one; inf if there is none."""
        return median(solution.steps for solution in self.solutions) if self.solutions else math.inf

    @property
    def error(self) -> float:
        """After training, the median over the nets."""
        return median(outcome.error for outcome in self.outcomes)

    def row(self, *, best: bool) -> Row:
        """A row of the table; what has no number where nothing was solved is left empty."""
        low, high = self.solved.interval
        streams = [solution.streams for solution in self.solutions]
        return {
            "task": self.task.name,
            "peepholes": "yes" if self.peepholes else "no",
            "learning_rate": self.learning_rate,
            "best": "yes" if best else "no",
            "seeds": self.solved.trials,
            "solved": self.solved.successes,
            "low_95": low,
            "high_95": high,
            "enduring": self.enduring.successes,
            "right_at_end": self.right_at_end.successes,
            "steps": int(self.steps) if self.solutions else "",
            "streams": int(median(streams)) if streams else "",
            "longest_periods": median(outcome.longest for outcome in self.outcomes),
            "rms_error": self.error,
        }


Measure = Callable[[Group], Share]
MEASURES: dict[str, Measure] = {
    "solved": lambda group: group.solved,
    "enduring": lambda group: group.enduring,
    "right at the end": lambda group: group.right_at_end,
}
"""What kinds of nets are compared by."""


@dataclass(frozen=True)
class Pair:
    """The nets of one task with peepholes and those without, each at their best learning rate."""

    seeing: Group
    blind: Group

    @property
    def task(self) -> Task:
        """That of both."""
        return self.seeing.task

    def verdict(self, measure: Measure) -> str:
        """Which of the two is better, if the intervals tell."""
        low, high = measure(self.seeing).interval
        blind_low, blind_high = measure(self.blind).interval
        if low > blind_high:
            return "peepholes help"
        return "peepholes hinder" if blind_low > high else "the intervals overlap"


def pairs_of_best(groups: Sequence[Group]) -> list[Pair]:
    """For each task and kind the learning rate that solved most, or most lastingly, or soonest."""
    best: dict[tuple[Task, bool], Group] = {}
    for group in sorted(groups, key=_merit, reverse=True):
        best.setdefault((group.task, group.peepholes), group)
    tasks = dict.fromkeys(group.task for group in groups)
    return [Pair(best[task, True], best[task, False]) for task in tasks]


def _merit(group: Group) -> tuple[float, ...]:
    return group.solved.successes, group.enduring.successes, -group.steps, -group.error


def rows(groups: Sequence[Group]) -> list[Row]:
    """A row a group."""
    best = [group for pair in pairs_of_best(groups) for group in (pair.seeing, pair.blind)]
    return [group.row(best=any(group is one for one in best)) for group in groups]


def sentences(pairs: Sequence[Pair]) -> list[str]:
    """What came out: a sentence a task, then all of them, held against the paper."""
    return [*map(_about, pairs), *_verdicts(pairs), *_against_the_paper(pairs)]


def _about(pair: Pair) -> str:
    both = (pair.seeing, pair.blind)
    solved = f"solved by {pair.seeing.solved} with peepholes and {pair.blind.solved} without"
    if not any(group.solutions for group in both):
        return f"{pair.task.name}: {solved}."
    steps = " and ".join(f"{g.steps:,.0f}" if g.solutions else "no" for g in both)
    enduring, right = (
        " and ".join(str(MEASURES[name](group).successes) for group in both)
        for name in ("enduring", "right at the end")
    )
    return (
        f"{pair.task.name}: {solved}, after a median of {steps} steps; enduring {enduring}, right "
        f"at the end {right}."
    )


def _verdicts(pairs: Sequence[Pair]) -> list[str]:
    """Where peepholes help and where they hinder, by each measure."""
    said = []
    for name, measure in MEASURES.items():
        found = {
            verdict: _names([pair for pair in pairs if pair.verdict(measure) == verdict])
            for verdict in ("peepholes help", "peepholes hinder", "the intervals overlap")
        }
        told = "; ".join(f"{verdict} on {names}" for verdict, names in found.items())
        said.append(f"By the number of nets that are {name}, {told}.")
    return said


def _against_the_paper(pairs: Sequence[Pair]) -> list[str]:
    """Who learnt spikes, and what nobody learnt."""
    spikes = [pair for pair in pairs if pair.task.is_binary]
    found = {
        "Spikes learnt by nets without peepholes, against the paper": [
            pair for pair in spikes if pair.blind.solutions
        ],
        "Spikes learnt only by nets with peepholes, as in the paper": [
            pair for pair in spikes if pair.seeing.solutions and not pair.blind.solutions
        ],
        "Learnt by no net in the time given": [
            pair for pair in pairs if not pair.seeing.solutions and not pair.blind.solutions
        ],
    }
    return [f"{what}: {_names(those)}." for what, those in found.items()]


def _names(pairs: Sequence[Pair]) -> str:
    return ", ".join(pair.task.name for pair in pairs) or "none"
