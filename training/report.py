"""A run's report: its configuration, its best figures, and its curves as a picture.

Made from the run's folder alone, at its end or at any other time.
Must not know: torch, models, corpora.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

CURVES_FILE, REPORT_FILE = "curves.png", "report.md"

Line = dict[str, Any]


def write_report(run: Path, recipe: str, config: dict[str, Any]) -> None:
    """Write `report.md` and `curves.png` into a run's folder from its logs."""
    log, speed = _read(run / "log.jsonl"), _read(run / "speed.jsonl")
    if not log:
        return
    best = min(log, key=lambda line: float(line["valid_loss"]))
    settings = "".join(f"| {key} | {value} |\n" for key, value in config.items())
    text = f"""# {run.resolve().name}

Recipe `{recipe}`; {log[-1]["step"]} steps, {log[-1]["epoch"]:.2f} epochs,
{speed[-1]["tokens_per_s"]:,} tokens/s over the last stretch that was not interrupted.

Best: validation perplexity {best["valid_perplexity"]:.2f} at step {best["step"]}
(epoch {best["epoch"]:.2f}); at the end {log[-1]["valid_perplexity"]:.2f}.

![validation and training perplexity, learning rate]({CURVES_FILE})

| key | value |
|---|---|
{settings}"""
    (run / REPORT_FILE).write_text(text, encoding="utf-8")
    _draw(log).savefig(run / CURVES_FILE, metadata={"Software": None})


def _draw(log: list[Line]) -> Figure:
    """Perplexities on a logarithmic axis above the learning rate."""
    figure = Figure(figsize=(7, 6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    epochs = [line["epoch"] for line in log]
    above.plot(epochs, [line["valid_perplexity"] for line in log], "o-", label="validation")
    trained = [math.exp(line["train_loss"]) for line in log]
    above.plot(epochs, trained, ".--", label="training (running mean, with dropout)")
    above.set_yscale("log")
    above.set_ylabel("perplexity")
    above.legend()
    below.plot(epochs, [line["learning_rate"] for line in log], color="tab:gray")
    below.set_ylabel("learning rate")
    below.set_xlabel("epochs")
    return figure


def _read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
