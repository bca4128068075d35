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
from matplotlib.ticker import LogFormatter

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
    whole_from = config["epochs"] * (1 - config["softmax_whole"]) if _mixes(config) else None
    _draw(log, whole_from).savefig(run / CURVES_FILE, metadata={"Software": None})


def _mixes(config: dict[str, Any]) -> bool:
    """Whether the run goes over from a sampled softmax to the whole one."""
    return bool(config.get("softmax_samples") and config.get("softmax_whole"))


def _draw(log: list[Line], whole_from: float | None) -> Figure:
    """Perplexities on a logarithmic axis above the learning rate.

    A sampled softmax makes training look better than it is, up to the epoch `whole_from`.
    """
    figure = Figure(figsize=(7, 6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    epochs = [line["epoch"] for line in log]
    above.plot(epochs, [line["valid_perplexity"] for line in log], "o-", label="validation")
    trained = [math.exp(line["train_loss"]) for line in log]
    above.plot(epochs, trained, ".--", label="training (running mean, with dropout)")
    if whole_from is not None:
        above.axvline(whole_from, color="tab:gray", linestyle=":", label="whole softmax from here")
    above.set_yscale("log")
    above.yaxis.set_major_formatter(LogFormatter(labelOnlyBase=False))  # 25, not 2.5 x 10^1
    above.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    above.set_ylabel("perplexity")
    above.legend()
    below.plot(epochs, [line["learning_rate"] for line in log], color="tab:gray")
    below.set_ylabel("learning rate")
    below.set_xlabel("epochs")
    return figure


def _read(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
