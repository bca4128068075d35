"""The figure of the study `language`: perplexities, the search for the rate, speeds.

Must not know: nets, corpora.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.studies.contest import Entry

_COLOURS = {"rnn": "#c8553d", "gru": "#2a9d5c"}
"""By the beginning of a cell's name."""
_OTHERS = "#1f4e9c"
"""The LSTMs."""
_MARKS = "os^Dvp*X"
"""One a cell, so that lines of one family can be told apart."""


def draw(figure: Figure, entries: Sequence[Entry], held_out: str) -> None:
    """Three panels; the entries in the order of their ranking, the best on top."""
    figure.set_size_inches(13, 4.6)
    left, middle, right = figure.subplots(1, 3)
    _draw_perplexities(left, entries)
    _draw_sweeps(middle, entries)
    _draw_speeds(right, entries)
    left.set_title(f"Perplexity on the {held_out} text")
    middle.set_title("The search for the rate, validation")
    right.set_title("Training speed")
    for axes in (left, right):
        axes.set_ylim(len(entries) - 0.5, -0.5)
        axes.grid(axis="x", alpha=0.25)


def _draw_perplexities(axes: Axes, entries: Sequence[Entry]) -> None:
    """A dot a seed, a stroke at their mean."""
    for place, entry in enumerate(entries):
        perplexities = [value for value in entry.perplexities if math.isfinite(value)]
        if perplexities:
            colour = _colour(entry)
            axes.plot(perplexities, [place] * len(perplexities), "o", color=colour, alpha=0.5)
            axes.plot(fmean(perplexities), place, "|", color=colour, markersize=18)
    axes.set_yticks(range(len(entries)), [f"{entry.cell}\n({entry.hidden})" for entry in entries])
    axes.set_xlabel("perplexity; in brackets the units")


def _draw_sweeps(axes: Axes, entries: Sequence[Entry]) -> None:
    """Validation perplexity by rate, a line a cell."""
    for place, entry in enumerate(entries):
        found = [trial for trial in entry.sweep if math.isfinite(trial.valid_loss)]
        axes.plot(
            [trial.rate for trial in found],
            [math.exp(trial.valid_loss) for trial in found],
            marker=_MARKS[place % len(_MARKS)],
            color=_colour(entry),
            label=entry.cell,
            markersize=5,
            linewidth=1,
        )
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="perplexity")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.25, which="both")


def _draw_speeds(axes: Axes, entries: Sequence[Entry]) -> None:
    """Tokens a second as bars."""
    speeds = [entry.tokens_per_s / 1000 for entry in entries]
    axes.barh(range(len(entries)), speeds, color=[_colour(entry) for entry in entries], alpha=0.8)
    axes.set_yticks(range(len(entries)), [entry.cell for entry in entries])
    axes.set_xlabel("thousand tokens a second of processor time")


def _colour(entry: Entry) -> str:
    return _COLOURS.get(entry.cell[:3], _OTHERS)
