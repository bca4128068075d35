"""The figure of the study `timing`: who solved what, who kept it, how soon, what it then plays.

Must not know: how nets are trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from training.studies.timing_tasks import play_task
from training.studies.timing_told import MEASURES, Group, Pair, Share

_LOOKS = {True: ("#1f4e9c", "o", "with peepholes"), False: ("#c8553d", "s", "without")}
_GREY = "#999999"
_ASIDE = 0.17
"""From a task's line to either of its groups."""
_PLAYED, _SHOWN = 100, 3
"""Periods played, and how many of them, the last ones, are shown."""


def draw(figure: Figure, pairs: Sequence[Pair]) -> None:
    """Three panels over all tasks; below them what nets play that solved theirs."""
    figure.set_size_inches(11, 8)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(5, 3))[:, 0]
    _draw_tasks(above, pairs)
    longest = {pair.task.shape: pair for pair in pairs if pair.learnt}  # the last of a shape
    if longest:
        panels = below.subplots(1, len(longest), sharey=True, squeeze=False)[0]
        for axes, pair in zip(panels, longest.values(), strict=True):
            _draw_sample(axes, pair)
        panels[0].set_ylabel("output")


def _draw_tasks(figure: SubFigure, pairs: Sequence[Pair]) -> None:
    """Two rates and the steps, a line a task."""
    solved, at_end, steps = figure.subplots(1, 3, sharey=True)
    for line, pair in enumerate(pairs):
        for axes, name in ((solved, "solved"), (at_end, "right at the end")):
            for height, group in zip((line - _ASIDE, line + _ASIDE), pair.best(name), strict=True):
                _draw_share(axes, height, group, MEASURES[name](group))
        for height, group in zip((line - _ASIDE, line + _ASIDE), pair.best("solved"), strict=True):
            _draw_steps(steps, height, group)
    solved.set_yticks(range(len(pairs)), [pair.task.name for pair in pairs])
    solved.set(title="solved at some time", ylim=(len(pairs) - 0.5, -0.5))
    at_end.set(title="right at the end of training")
    for axes in (solved, at_end):
        axes.set(xlim=(-0.04, 1.04), xlabel="nets, and 95 % interval")
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    steps.set(title="training steps to the solution", xlabel="steps, a mark a net")
    if any(pair.learnt for pair in pairs):
        steps.set_xscale("log")
    for axes in (solved, at_end, steps):
        axes.grid(axis="x", alpha=0.25)
    figure.legend(handles=_marks(), loc="outside lower center", ncols=3, frameon=False)


def _draw_share(axes: Axes, height: float, group: Group, share: Share) -> None:
    colour, mark, _ = _LOOKS[group.peepholes]
    axes.plot(share.interval, (height, height), color=colour, linewidth=2)
    axes.plot(share.rate, height, mark, color=colour, markersize=6)


def _draw_steps(axes: Axes, height: float, group: Group) -> None:
    colour, mark, _ = _LOOKS[group.peepholes]
    steps = [solution.steps for solution in group.solutions]
    axes.plot(steps, [height] * len(steps), mark, color=colour, alpha=0.35, markersize=5)


def _draw_sample(axes: Axes, pair: Pair) -> None:
    """The last periods that a net of each kind plays on its own with its solution."""
    task = pair.task
    shown = _SHOWN * task.period
    steps = np.arange(1, shown + 1)
    axes.plot(steps, np.tile(task.target_T, _SHOWN), color=_GREY, linewidth=4, alpha=0.5)
    for group in pair.best("solved"):
        colour, mark, _ = _LOOKS[group.peepholes]
        for solution in group.solutions[:1]:
            y_T = play_task(task, solution.weights_P[:, None], _PLAYED)[-shown:, 0]
            axes.plot(steps, y_T, marker=mark, color=colour, markersize=3, linewidth=1)
    first = _PLAYED - _SHOWN + 1
    axes.set(title=f"{task.name}: solutions, periods {first} to {_PLAYED}", xlabel="step")
    axes.grid(alpha=0.25)


def _marks() -> list[Line2D]:
    """What colours stand for."""
    return [
        *(
            Line2D([], [], color=colour, marker=mark, label=label)
            for colour, mark, label in _LOOKS.values()
        ),
        Line2D([], [], color=_GREY, linewidth=4, alpha=0.5, label="target"),
    ]
