"""The figure of the study `mitigations`: error, largest gradient and cost of every remedy.

Must not know: nets, training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.studies.learner import Learned
from training.studies.mitigations_told import Trial

_ALONE = "#c8553d"
_CLIPPED = "#1f4e9c"
_HEIGHT = 0.36
"""Of a bar, and of the band that the seeds of a trial share."""


def draw(figure: Figure, trials: Sequence[Trial], solved_below: float, baseline: float) -> None:
    """Three panels with a line a remedy, the clip told by colour."""
    figure.set_size_inches(11, 4.8)
    errors, gradients, costs = figure.subplots(1, 3, sharey=True)
    names = list(dict.fromkeys(trial.remedy.name for trial in trials))
    for trial in trials:
        place = names.index(trial.remedy.name) + (-0.5 if trial.clip is None else 0.5) * _HEIGHT
        colour = _ALONE if trial.clip is None else _CLIPPED
        _draw_dots(errors, place, colour, trial.runs, lambda run: run.error)
        _draw_dots(gradients, place, colour, trial.runs, lambda run: run.largest_gradient)
        costs.barh(place, 1e3 / trial.steps_per_s, height=_HEIGHT, color=colour)
    for level, name in ((solved_below, "solved"), (baseline, "always 1")):
        errors.axvline(level, color="black", linewidth=0.8, linestyle=":")
        errors.annotate(name, (level, 1), xycoords=("data", "axes fraction"), fontsize=8,
                        xytext=(0, 3), textcoords="offset points", ha="center")  # fmt: skip
    errors.set_yticks(range(len(names)), names)
    errors.invert_yaxis()
    errors.set(xscale="log", xlabel="held-out mean squared error at the end")
    gradients.set(xscale="log", xlabel="largest gradient norm, before clipping")
    costs.set(xlabel="processor time a step in ms")
    for axes in (errors, gradients, costs):
        axes.grid(axis="x", alpha=0.25)
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="") for colour in (_ALONE, _CLIPPED)
    ]
    labels = ["alone", "with clipping"]
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)


def _draw_dots(
    axes: Axes,
    place: float,
    colour: str,
    runs: Sequence[Learned],
    value: Callable[[Learned], float],
) -> None:
    """A dot a seed; a cross at the right edge where there is no finite number."""
    for number, run in enumerate(runs):
        height = place + _HEIGHT * 0.6 * ((number + 0.5) / len(runs) - 0.5)
        if math.isfinite(value(run)):
            axes.plot(value(run), height, "o", color=colour, markersize=4)
        else:
            edge = axes.get_yaxis_transform()
            axes.plot(1, height, "x", color=colour, markersize=5, transform=edge, clip_on=False)
