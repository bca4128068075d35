"""The figure of the study `timing`: who solved what, how soon, and what it then plays.

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
from training.studies.timing_told import Group, Pair

_LOOKS = {True: ("#1f4e9c", "o", "with peepholes"), False: ("#c8553d", "s", "without")}
_ASIDE = 0.17
"""From a task's line to either of its groups."""
_PLAYED, _SHOWN = 100, 3
"""Periods played, and how many of them, the last ones, are shown."""


def draw(figure: Figure, pairs: Sequence[Pair]) -> None:
    """Two panels over all tasks; below them what nets play that solved theirs."""
    figure.set_size_inches(10, 7.5)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(5, 3))[:, 0]
    _draw_groups(above, pairs)
    solved = [pair for pair in pairs if pair.seeing.solutions or pair.blind.solutions]
    longest = {pair.task.shape: pair for pair in solved}  # the last of a shape
    if longest:
        panels = below.subplots(1, len(longest), sharey=True, squeeze=False)[0]
        for axes, pair in zip(panels, longest.values(), strict=True):
            _draw_sample(axes, pair)
        panels[0].set_ylabel("output")


def _draw_groups(figure: SubFigure, pairs: Sequence[Pair]) -> None:
    """Rates on the left, steps on the right, a line a task."""
    left, right = figure.subplots(1, 2, sharey=True)
    for line, pair in enumerate(pairs):
        _draw_group(left, right, line - _ASIDE, pair.seeing)
        _draw_group(left, right, line + _ASIDE, pair.blind)
    left.set_yticks(range(len(pairs)), [pair.task.name for pair in pairs])
    left.set(title="nets that solve the task, and 95 % interval", xlim=(-0.03, 1.03))
    left.set_ylim(len(pairs) - 0.5, -0.5)
    left.xaxis.set_major_formatter(PercentFormatter(1))
    right.set(title="training steps to the solution, a mark a net")
    if any(pair.seeing.solutions or pair.blind.solutions for pair in pairs):
        right.set_xscale("log")
    for axes in (left, right):
        axes.grid(axis="x", alpha=0.25)
    figure.legend(handles=_marks(), loc="outside lower center", ncols=3, frameon=False)


def _draw_group(left: Axes, right: Axes, height: float, group: Group) -> None:
    colour, mark, _ = _LOOKS[group.peepholes]
    left.plot(group.solved.interval, (height, height), color=colour, linewidth=2)
    left.plot(group.solved.rate, height, mark, color=colour, markersize=6)
    steps = [solution.steps for solution in group.solutions]
    right.plot(steps, [height] * len(steps), mark, color=colour, alpha=0.35, markersize=5)


def _draw_sample(axes: Axes, pair: Pair) -> None:
    """The last periods that a net of each kind plays on its own with its solution."""
    task = pair.task
    shown = _SHOWN * task.period
    steps = np.arange(1, shown + 1)
    axes.plot(steps, np.tile(task.target_T, _SHOWN), color="#999999", linewidth=4, alpha=0.5)
    for group in (pair.seeing, pair.blind):
        colour, mark, _ = _LOOKS[group.peepholes]
        for solution in group.solutions[:1]:
            y_T = play_task(task, solution.weights_P[:, None], _PLAYED)[-shown:, 0]
            axes.plot(steps, y_T, marker=mark, color=colour, markersize=3, linewidth=1)
    first, last = _PLAYED - _SHOWN + 1, _PLAYED
    axes.set(title=f"{task.name}, periods {first} to {last}", xlabel="step")
    axes.grid(alpha=0.25)


def _marks() -> list[Line2D]:
    """What colours stand for."""
    return [
        *(
            Line2D([], [], color=colour, marker=mark, label=label)
            for colour, mark, label in _LOOKS.values()
        ),
        Line2D([], [], color="#999999", linewidth=4, alpha=0.5, label="target"),
    ]
