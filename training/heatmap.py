"""The gates of a model over a text, as a heat map and as a table of means.

Must not know: torch, how gates are calculated.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.gates import Floats, GateTrace

_SIGNED = {"cell", "candidate", "hidden"}
"""What is not between 0 and 1."""
_WIDEST_WORDS = 200
"""Words that still fit under a picture."""


def gate_table(trace: GateTrace) -> str:
    """The mean of each gate over its units, a line a word, layer by layer."""
    width = max(len("word"), *map(len, trace.words))
    lines = []
    for number, gates in enumerate(trace.layers):
        lines.append(f"layer {number}")
        lines.append(f"{'word':{width}}" + "".join(f"  {gate:>9}" for gate in gates))
        for t, word in enumerate(trace.words):
            means = "".join(f"  {values[t].mean():9.4f}" for values in gates.values())
            lines.append(f"{word:{width}}{means}")
    return "\n".join(lines)


def draw_gates(trace: GateTrace, path: Path) -> None:
    """Write a PNG: a row for each layer, a panel for each gate, words across, units down."""
    columns = max(map(len, trace.layers))
    words = min(len(trace.words), _WIDEST_WORDS)
    size = (columns * max(2.4, 0.32 * words), 4.2 * len(trace.layers))
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(trace.layers), columns, squeeze=False)
    for number, gates in enumerate(trace.layers):
        for axes, (gate, values_TH) in zip(grid[number], gates.items(), strict=False):
            _draw_panel(axes, gate, values_TH.T, trace.words)
        grid[number][0].set_ylabel(f"layer {number}, unit")
    figure.savefig(path, format="png", metadata={"Software": None})


def _draw_panel(axes: Axes, gate: str, values_HT: Floats, words: tuple[str, ...]) -> None:
    signed = gate in _SIGNED
    largest = max(1.0, float(abs(values_HT).max()))  # of a ReLU, anything
    image = axes.imshow(
        values_HT,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu_r" if signed else "viridis",
        vmin=-largest if signed else 0,
        vmax=largest,
    )
    axes.set_title(gate)
    axes.set_xticks(range(len(words)), words, rotation=90)
    axes.figure.colorbar(image, ax=axes, shrink=0.6)
