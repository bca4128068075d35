"""The figure of the study `language`: perplexities, the search for the rate, speeds.

Must not know: nets, corpora.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from training.studies.contest import Entry, perplexity
from training.studies.looks import look

_NUMBERS = 6
"""At most so many at an axis of perplexities."""


def draw(figure: Figure, entries: Sequence[Entry], held_out: str) -> None:
    """Three panels; the entries in the order of their ranking, the best on top."""
    figure.set_size_inches(13, 5)
    left, middle, right = figure.subplots(1, 3)
    _draw_perplexities(left, entries)
    _draw_sweeps(middle, entries)
    _draw_speeds(right, entries)
    left.set_title(f"Perplexity on the {held_out} text")
    middle.set_title("The search for the rate, validation")
    right.set_title("Training speed")
    handles, labels = middle.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=8, frameon=False, fontsize=9)
    for axes in (left, right):
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.25)


def _draw_perplexities(axes: Axes, entries: Sequence[Entry]) -> None:
    """A dot a seed, a stroke at their mean."""
    for place, entry in enumerate(entries):
        perplexities = [value for value in entry.perplexities if math.isfinite(value)]
        if perplexities:
            colour, _ = look(entry.cell)
            axes.plot(perplexities, [place] * len(perplexities), "o", color=colour, alpha=0.5)
            axes.plot(fmean(perplexities), place, "|", color=colour, markersize=18)
    axes.set_yticks(range(len(entries)), [f"{entry.cell}\n({entry.hidden})" for entry in entries])
    axes.set(xscale="log", xlabel="perplexity; in brackets the units")
    _write_out(axes.xaxis)


def _draw_sweeps(axes: Axes, entries: Sequence[Entry]) -> None:
    """Validation perplexity by rate, a line a cell."""
    for entry in entries:
        colour, style = look(entry.cell)
        rates = [trial.rate for trial in entry.sweep]
        perplexities = [perplexity(trial.valid_loss) for trial in entry.sweep]
        axes.plot(rates, perplexities, style, marker=".", color=colour, label=entry.cell)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="perplexity")
    _write_out(axes.yaxis)
    axes.grid(alpha=0.25, which="both")


def _draw_speeds(axes: Axes, entries: Sequence[Entry]) -> None:
    """Tokens a second as bars."""
    speeds = [entry.tokens_per_s / 1000 for entry in entries]
    colours = [look(entry.cell)[0] for entry in entries]
    axes.barh(range(len(entries)), speeds, color=colours, alpha=0.8)
    axes.set_yticks(range(len(entries)), [entry.cell for entry in entries])
    axes.set_xlabel("thousand tokens a second of processor time")


def _write_out(axis: Axis) -> None:
    """A few whole numbers at a logarithmic axis, not powers of ten."""
    axis.set_major_locator(MaxNLocator(_NUMBERS))
    axis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    axis.set_minor_locator(NullLocator())
