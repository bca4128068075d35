"""The findings of the study `truncation` as curves, as a table and as sentences.

Must not know: nets, training, figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from training.config import Cell
from training.studies.study import Row
from training.studies.tasks import STREAM_ALPHABET

RECALLED = 0.9
"""The share of right answers from which a lag counts as recalled."""
GUESSING = 1 / STREAM_ALPHABET


@dataclass(frozen=True)
class Kind:
    """What nets are trained on and how."""

    cell: Cell
    one_lag: bool
    """Whether every lag has a stream and a net of its own."""
    carried: bool
    """Whether the state is handed from window to window in training."""


@dataclass(frozen=True)
class Curve:
    """Recall against lag, of the nets of one kind trained on one window."""

    kind: Kind
    window: int
    carried: bool
    """Whether the state is carried in the test."""
    by_lag: Mapping[int, Sequence[float]]
    """The share of right answers, a figure a seed."""

    def mean(self, lag: int) -> float:
        """Over the seeds."""
        return fmean(self.by_lag[lag])

    def deviation(self, lag: int) -> float:
        """The standard deviation over the seeds; 0 for one."""
        shares = self.by_lag[lag]
        return stdev(shares) if len(shares) > 1 else 0.0

    def ceiling(self, lag: int) -> float:
        """What a net without fault reaches: all, or, state zeroed, what a window holds both of.

        A question stands anywhere in its window, so (W - L) / W of them have their symbol before
        them in the same window; the rest are guessed.
        """
        if self.carried:
            return 1.0
        held = max(0.0, (self.window - lag) / self.window)
        return held + (1 - held) * GUESSING

    def reach(self) -> int:
        """The farthest lag that is recalled; 0 where none is."""
        return max((lag for lag in self.by_lag if self.mean(lag) >= RECALLED), default=0)


def rows(curves: Sequence[Curve]) -> list[Row]:
    """A row a curve and lag."""
    return [
        {
            "cell": curve.kind.cell,
            "stream": "one lag" if curve.kind.one_lag else "all lags",
            "window": curve.window,
            "trained": _state(curve.kind.carried),
            "tested": _state(curve.carried),
            "lag": lag,
            "recall": curve.mean(lag),
            "sd": curve.deviation(lag),
            "lowest": min(curve.by_lag[lag]),
            "highest": max(curve.by_lag[lag]),
            "ceiling": curve.ceiling(lag),
        }
        for curve in curves
        for lag in sorted(curve.by_lag)
    ]


def sentences(curves: Sequence[Curve]) -> list[str]:
    """What came out."""
    alone = [curve for curve in curves if curve.kind.one_lag]
    mixed = [curve for curve in curves if curve.kind.carried and not curve.kind.one_lag]
    zeroed = [curve for curve in curves if not curve.carried]
    set_free = [curve for curve in curves if curve.carried and not curve.kind.carried]
    told = [f"A stream a lag, state carried: {_reaches(alone)}. {_beyond(alone)}{_missed(alone)}"]
    for cell, group in _by_cell(mixed).items():
        told.append(
            f"All lags in one stream, state carried, {cell}: {_reaches(group)}. {_beyond(group)}"
        )
    told.append(
        f"All lags in one stream, state zeroed in training and test: {_reaches(zeroed)}; the mean "
        f"recall differs from the ceiling by {_from_ceiling(zeroed):.3f} at most."
    )
    told.append(
        f"The same nets, tested with the state carried: {_reaches(set_free)}. {_beyond(set_free)}"
    )
    return told


def _state(carried: bool) -> str:  # noqa: FBT001  # a column's value, said once
    return "carried" if carried else "zeroed"


def _by_cell(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    return {
        cell: [curve for curve in curves if curve.kind.cell == cell]
        for cell in dict.fromkeys(curve.kind.cell for curve in curves)
    }


def _reaches(curves: Sequence[Curve]) -> str:
    farthest = ", ".join(
        f"up to lag {curve.reach()} with window {curve.window}"
        if curve.reach()
        else f"no lag with window {curve.window}"
        for curve in curves
    )
    return f"{RECALLED:.0%} or more recalled {farthest}"


def _beyond(curves: Sequence[Curve]) -> str:
    """How well lags are recalled that no window holds together with their question."""
    shares = [curve.mean(lag) for curve in curves for lag in curve.by_lag if lag >= curve.window]
    if not shares:
        return "No lag was as long as its window."
    return (
        f"Lags that do not fit into the window were recalled to {min(shares):.0%} to "
        f"{max(shares):.0%} (guessing: {GUESSING:.0%})."
    )


def _missed(curves: Sequence[Curve]) -> str:
    """What fits into its window and yet is not recalled."""
    missed = [
        f"lag {lag} with window {curve.window} ({curve.mean(lag):.0%})"
        for curve in curves
        for lag in sorted(curve.by_lag)
        if lag < curve.window and curve.mean(lag) < RECALLED
    ]
    return (
        f" Fitting, yet recalled less than {RECALLED:.0%}: {', '.join(missed)}." if missed else ""
    )


def _from_ceiling(curves: Sequence[Curve]) -> float:
    return max(
        abs(curve.mean(lag) - curve.ceiling(lag)) for curve in curves for lag in curve.by_lag
    )
