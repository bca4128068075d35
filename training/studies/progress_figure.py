"""The figure of the studies that compare how fast cells learn a task: error against steps.

Must not know: nets, any task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.learner import Learned
from training.studies.looks import look

_LOWEST = 1e-3
"""The lowest error drawn, a tenth of what counts as solved; what is lower is drawn there."""


@dataclass(frozen=True)
class Panel:
    """One difficulty of the task."""

    title: str
    runs: Mapping[str, Sequence[Learned]]
    """The runs of every cell, a run a seed."""
    levels: Mapping[str, float]
    """Errors that mean something, drawn across and named."""


def draw_progress(figure: Figure, panels: Sequence[Panel], error: str) -> None:
    """A panel a difficulty, side by side, a line a seed, with a dot where it solved the task."""
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
        for number, run in enumerate(runs):
            steps = [step for step, _ in run.curve]
            errors = [max(error, _LOWEST) for _, error in run.curve]
            label = cell if number == 0 else None
            axes.plot(steps, errors, style, color=colour, linewidth=1.1, alpha=0.85, label=label)
            if run.solved:
                axes.plot(steps[-1], errors[-1], "o", color=colour, markersize=4)
    for name, level in panel.levels.items():
        axes.axhline(level, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), fontsize=8,
                      xytext=(-3, 2), textcoords="offset points", ha="right")  # fmt: skip
    axes.set(title=panel.title, yscale="log", xlabel="training steps", xlim=(0, None))
    axes.grid(alpha=0.25)
