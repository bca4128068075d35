"""The figure of the study `truncation`: recall against lag, a colour a window.

Must not know: nets, training.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from training.studies.truncation_told import GUESSING, Curve

_COLOURS = ("#e09f3e", "#c8553d", "#5aa9e6", "#1f4e9c")
"""By window, the shortest first."""


def draw(figure: Figure, curves: Sequence[Curve]) -> None:
    """A panel a way of training, side by side; lines are means, bars reach over all seeds."""
    figure.set_size_inches(12, 4.8)
    alone, mixed, zeroed = figure.subplots(1, 3, sharey=True)
    windows = sorted({curve.window for curve in curves})
    colours = {window: _COLOURS[i % len(_COLOURS)] for i, window in enumerate(windows)}
    for curve in curves:
        axes = alone if curve.kind.one_lag else mixed if curve.kind.carried else zeroed
        dashed = curve.kind.cell != "lstm" or curve.carried != curve.kind.carried
        _draw_curve(axes, curve, colours[curve.window], "--" if dashed else "-")
    _finish(alone, "A stream and an LSTM a lag, state carried", [])
    _finish(mixed, "All lags in one stream, state carried", ["LSTM", "tanh RNN"])
    _finish(
        zeroed,
        "All lags in one stream, state zeroed",
        ["LSTM, tested zeroed", "LSTM, tested carried"],
    )
    alone.set_ylabel("share of questions answered rightly")
    handles = [Line2D([], [], color=colours[w], marker="o", markersize=4) for w in windows]
    labels = [f"window {window}" for window in windows]
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _draw_curve(axes: Axes, curve: Curve, colour: str, style: str) -> None:
    """The mean over the seeds, and from the worst to the best of them."""
    lags = sorted(curve.by_lag)
    means = [curve.mean(lag) for lag in lags]
    below = [max(0.0, curve.mean(lag) - min(curve.by_lag[lag])) for lag in lags]
    above = [max(0.0, max(curve.by_lag[lag]) - curve.mean(lag)) for lag in lags]
    axes.errorbar(lags, means, (below, above), linestyle=style, color=colour, marker="o",
                  markersize=4, elinewidth=0.8, capsize=2)  # fmt: skip


def _finish(axes: Axes, title: str, styles: Sequence[str]) -> None:
    """Name what is drawn and what the line styles stand for, the solid one first."""
    axes.axhline(GUESSING, color="black", linewidth=0.8, linestyle=":")
    axes.annotate("guessing", (1, GUESSING), xycoords=("axes fraction", "data"), fontsize=8,
                  xytext=(-3, -12), textcoords="offset points", ha="right")  # fmt: skip
    axes.set(title=title, xlabel="lag in steps", ylim=(0, 1.05))
    axes.grid(alpha=0.25)
    if styles:
        handles = [Line2D([], [], color="black", linestyle=style) for style in ("-", "--")]
        axes.legend(handles, styles, fontsize=8, loc="lower right")
