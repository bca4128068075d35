"""The figure of the study `gradients`: gradient against distance twice, and what exploded.

Must not know: nets, training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.studies.explosion import Series
from training.studies.gradient_flow import Curve
from training.studies.looks import look

_FREE, _CLIPPED = "#c8553d", "#1f4e9c"
_LOWEST = 1e-24
_HIGHEST = 1e4
"""What the axes of shares span; curves that leave it are in the table."""


def draw(
    figure: Figure, before: Sequence[Curve], after: Sequence[Curve], series: Sequence[Series]
) -> None:
    """Three panels, the curves' legend below."""
    figure.set_size_inches(13, 5)
    left, middle, right = figure.subplots(1, 3)
    _draw_curves(left, "At initialisation", before)
    _draw_curves(middle, "After training", after)
    left.set_ylabel("share of the gradient at distance 0")
    _draw_series(right, series)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)


def _draw_curves(axes: Axes, title: str, curves: Sequence[Curve]) -> None:
    """Medians as lines, quartiles as bands."""
    for curve in curves:
        colour, style = look(curve.name)
        distances = torch.arange(curve.shares_ST.shape[1])
        low, middle, high = (curve.at(q).clamp(min=_LOWEST / 10) for q in (0.25, 0.5, 0.75))
        axes.fill_between(distances, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(distances, middle, style, color=colour, label=curve.name)
    axes.set(title=title, yscale="log", ylim=(_LOWEST, _HIGHEST), xlabel="steps back from the last")
    axes.margins(x=0)
    axes.grid(alpha=0.25)


def _draw_series(axes: Axes, series: Sequence[Series]) -> None:
    """A mark a run at the largest gradient it saw; a line of marks a net and clip."""
    names = list(dict.fromkeys(one.subject.name for one in series))
    for one in series:
        colour, aside = (_FREE, -0.13) if one.clip is None else (_CLIPPED, 0.13)
        place = names.index(one.subject.name) + aside
        for run in one.runs:
            if math.isfinite(run.largest_gradient):
                mark = "x" if run.diverged else "o"
                axes.plot(run.largest_gradient, place, mark, color=colour, alpha=0.7)
    axes.set_yticks(range(len(names)), [name.replace(" (", "\n(") for name in names])
    axes.set(title="Plain gradient descent", xscale="log", ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel("largest gradient of a run, before clipping")
    axes.legend(handles=_marks(), fontsize=8)
    axes.grid(axis="x", alpha=0.25)


def _marks() -> list[Line2D]:
    """What colours and marks stand for."""
    looks = (("no clip", _FREE, "o"), ("clip", _CLIPPED, "o"), ("diverged", "black", "x"))
    return [
        Line2D([], [], color=colour, marker=mark, linestyle="", label=label)
        for label, colour, mark in looks
    ]
