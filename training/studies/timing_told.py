"""What the study `timing` found, as a table and as sentences made from the numbers.

Must not know: how nets are trained, figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from training.studies.study import Row
from training.studies.timing_tasks import Task
from training.studies.timing_training import Outcome, Plan, Solution

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
    plan: Plan
    outcomes: Sequence[Outcome]

    @property
    def solutions(self) -> list[Solution]:
        """Those of the nets that have one."""
        return [outcome.solution for outcome in self.outcomes if outcome.solution is not None]

    @property
    def solved(self) -> Share:
        """The nets that at some time passed an examination."""
        return self._share(outcome.solution is not None for outcome in self.outcomes)

    @property
    def enduring(self) -> Share:
        """The nets whose solution was right for much longer, too."""
        return self._share(o.solution_lasts == self.plan.endurance for o in self.outcomes)

    @property
    def right_at_end(self) -> Share:
        """The nets that pass an examination after all of their training."""
        return self._share(o.end_lasts >= self.plan.examination for o in self.outcomes)

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
            "steps": int(self.steps) if self.solutions else "",
            "streams": int(median(streams)) if streams else "",
            "enduring": self.enduring.successes,
            "right_at_end": self.right_at_end.successes,
            "periods_at_end": median(outcome.end_lasts for outcome in self.outcomes),
            "rms_error": self.error,
            "longest_stream": median(outcome.longest for outcome in self.outcomes),
        }

    def _share(self, done: Iterable[bool]) -> Share:
        return Share(sum(done), len(self.outcomes))


Measure = Callable[[Group], Share]
MEASURES: dict[str, Measure] = {
    "solved": lambda group: group.solved,
    "enduring": lambda group: group.enduring,
    "right at the end": lambda group: group.right_at_end,
}
"""What kinds of nets are compared by."""
_VERDICTS = ("peepholes help", "peepholes hinder", "the intervals overlap")


@dataclass(frozen=True)
class Side:
    """One kind of net on one task, a group a learning rate."""

    groups: Sequence[Group]

    def best(self, measure: Measure) -> Group:
        """The group that did best by a measure, and of equals the one that was sooner."""
        return min(self.groups, key=lambda group: (-measure(group).successes, group.steps))


@dataclass(frozen=True)
class Pair:
    """Nets with peepholes and nets without, on one task."""

    seeing: Side
    blind: Side

    @property
    def task(self) -> Task:
        """That of both."""
        return self.seeing.groups[0].task

    @property
    def learnt(self) -> bool:
        """Whether any net solved it."""
        return any(group.solutions for group in (*self.seeing.groups, *self.blind.groups))

    def best(self, name: str) -> tuple[Group, Group]:
        """Both kinds, each at the learning rate that does best for it by the named measure."""
        return self.seeing.best(MEASURES[name]), self.blind.best(MEASURES[name])

    def verdict(self, name: str) -> str:
        """Which of the two is better by the named measure, if the intervals tell."""
        (low, high), (blind_low, blind_high) = (
            MEASURES[name](group).interval for group in self.best(name)
        )
        helps, hinders, unclear = _VERDICTS
        if low > blind_high:
            return helps
        return hinders if blind_low > high else unclear


def paired(groups: Sequence[Group]) -> list[Pair]:
    """The groups by task and kind."""
    sides: dict[tuple[Task, bool], list[Group]] = {}
    for group in groups:
        sides.setdefault((group.task, group.peepholes), []).append(group)
    tasks = dict.fromkeys(group.task for group in groups)
    return [Pair(Side(sides[task, True]), Side(sides[task, False])) for task in tasks]


def rows(pairs: Sequence[Pair]) -> list[Row]:
    """A row a group."""
    return [
        group.row(best=group is side.best(MEASURES["solved"]))
        for pair in pairs
        for side in (pair.seeing, pair.blind)
        for group in side.groups
    ]


def sentences(pairs: Sequence[Pair]) -> list[str]:
    """What came out: a sentence a task, then all of them, held against the paper."""
    return [*map(_about, pairs), *_verdicts(pairs), *_against_the_paper(pairs)]


def _about(pair: Pair) -> str:
    seeing, blind = pair.best("solved")
    told = f"{pair.task.name}: solved by {seeing.solved} with peepholes and {blind.solved} without"
    if not pair.learnt:
        return f"{told}."
    steps = " and ".join(f"{g.steps:,.0f}" if g.solutions else "no" for g in (seeing, blind))
    enduring, right = (
        " and ".join(str(MEASURES[name](group).successes) for group in pair.best(name))
        for name in ("enduring", "right at the end")
    )
    errors = (min(group.error for group in side.groups) for side in (pair.seeing, pair.blind))
    return (
        f"{told}, after a median of {steps} steps; enduring {enduring}, right at the end {right}, "
        f"the least median rms_error {' and '.join(f'{error:.2g}' for error in errors)}."
    )


def _verdicts(pairs: Sequence[Pair]) -> list[str]:
    """Where peepholes help and where they hinder, by each measure."""
    said = []
    for name in MEASURES:
        found = {
            verdict: _names([pair for pair in pairs if pair.verdict(name) == verdict])
            for verdict in _VERDICTS
        }
        told = "; ".join(f"{verdict} on {names}" for verdict, names in found.items())
        said.append(f"By the number of nets that are {name}, {told}.")
    return said


def _against_the_paper(pairs: Sequence[Pair]) -> list[str]:
    """Who learnt spikes, and what nobody learnt."""
    spikes = [pair for pair in pairs if pair.task.is_binary and pair.learnt]
    blind = [pair for pair in spikes if pair.blind.best(MEASURES["solved"]).solutions]
    found = {
        "Spikes learnt by nets without peepholes, against the paper": blind,
        "Spikes learnt only by nets with peepholes, as in the paper": [
            pair for pair in spikes if pair not in blind
        ],
        "Learnt by no net in the time given": [pair for pair in pairs if not pair.learnt],
    }
    return [f"{what}: {_names(those)}." for what, those in found.items()]


def _names(pairs: Sequence[Pair]) -> str:
    return ", ".join(pair.task.name for pair in pairs) or "none"
