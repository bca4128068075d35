"""The figure of the studies that compare how fast cells learn a task: error against steps.

Must not know: nets, any task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.learner import Learned
from training.studies.looks import look


@dataclass(frozen=True)
class Panel:
    """One difficulty of the task."""

    title: str
    runs: Mapping[str, Sequence[Learned]]
    """The runs of every cell, a run a seed."""
    levels: Mapping[str, float]
    """Errors that mean something, drawn across and named."""


def draw_progress(figure: Figure, panels: Sequence[Panel], error: str) -> None:
    """A panel a difficulty, side by side, their legend below."""
    figure.set_size_inches(3.6 * len(panels) + 0.6, 5)
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(all_axes, panels, strict=True):
        _draw_panel(axes, panel)
    all_axes[0].set_ylabel(error)
    handles, labels = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    for cell, runs in panel.runs.items():
        colour, style = look(cell)
        steps, errors = middle_curve(runs)
        axes.plot(steps, errors, style, color=colour, label=cell)
        if all(run.solved for run in runs):
            axes.plot(steps[-1], errors[-1], "o", color=colour, markersize=5)
    for name, level in panel.levels.items():
        axes.axhline(level, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), fontsize=8,
                      xytext=(-3, 2), textcoords="offset points", ha="right")  # fmt: skip
    axes.set(title=panel.title, yscale="log", xlabel="training steps", xlim=(0, None))
    axes.grid(alpha=0.25)


def middle_curve(runs: Sequence[Learned]) -> tuple[list[int], list[float]]:
    """Steps and the median over the runs of the error then; a run that ended keeps its last."""
    steps = sorted({step for run in runs for step, _ in run.curve})
    lines = [[_error_at(run, step) for step in steps] for run in runs]
    return steps, [float(error) for error in np.median(lines, axis=0)]


def _error_at(run: Learned, step: int) -> float:
    """The last error seen up to a step; that of the first look before it."""
    seen = [error for looked, error in run.curve if looked <= step]
    return seen[-1] if seen else run.curve[0][1]
