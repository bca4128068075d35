"""What a study is: a claim of the field, an experiment, and findings as table, figure and report.

Must not know: any one study's subject.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.errors import StudyError, nearest

NAMES = (
    "gradients",
    "mitigations",
    "truncation",
    "adding",
    "copy",
    "timing",
    "language",
    "speed",
)
"""Each a module of this package that holds a `STUDY`."""

Row = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Options:
    """What the caller of a study may choose."""

    quick: bool = False
    """A run of seconds that shows that everything works, not what is true."""
    seeds: int | None = None
    """How many seeds; None takes the study's own number."""
    data: Path | None = None
    """A corpus folder, for the studies that read one."""


@dataclass(frozen=True)
class Findings:
    """What came out of a study."""

    rows: Sequence[Row]
    """The table; every row has the same columns."""
    draw: Callable[[Figure], None]
    """Draws the figure into an empty one."""
    outcome: Sequence[str]
    """What came out, a sentence each, made from the numbers."""
    seeds: int
    setting: str
    """Sizes, steps and optimiser, in a sentence or two."""


@dataclass(frozen=True)
class Study:
    """An experiment and what it is expected to show."""

    name: str
    title: str
    expected: str
    """What the field says, with its sources."""
    run: Callable[[Options], Findings]
    threads: int = 1
    """Processor threads; the nets are small, so one is best for most."""
    reads_corpus: bool = False


def find_study(name: str) -> Study:
    """The study of that name; StudyError names the nearest where there is none."""
    if name not in NAMES:
        raise StudyError(f"no study {name!r}{nearest(name, NAMES)}")
    study: Study = import_module(f"training.studies.{name}").STUDY
    return study


def run_study(study: Study, options: Options, out: Path | None) -> str:
    """Run a study and return its report as Markdown; with `out`, write table, figure and report.

    Raises StudyError for options that the study does not take, OSError where `out` is unusable.
    """
    if options.data is not None and not study.reads_corpus:
        raise StudyError(f"study {study.name} makes its own data: leave out --data")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    before = torch.get_num_threads()
    torch.set_num_threads(study.threads)
    started_s = time.monotonic()
    try:
        findings = study.run(options)
    finally:
        torch.set_num_threads(before)
    report = _report(study, options, findings, time.monotonic() - started_s)
    if out is not None:
        _write_table(out / f"{study.name}.csv", findings.rows)
        _write_figure(out / f"{study.name}.png", findings.draw)
        (out / f"{study.name}.md").write_text(report, encoding="utf-8")
    return report


def markdown_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table, floats to four significant digits."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([_cell(row[c]) for c in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: str | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _report(study: Study, options: Options, findings: Findings, took_s: float) -> str:
    command = f"python -m training study {study.name} --out DIR"
    command += " --quick" if options.quick else ""
    command += f" --seeds {options.seeds}" if options.seeds is not None else ""
    command += " --data DIR" if options.data is not None else ""
    came_out = "".join(f"- {sentence}\n" for sentence in findings.outcome)
    quick = "\n**A quick run: it shows that the study works, not what is true.**\n"
    return f"""# {study.title}

`{command}`: {findings.seeds} seed(s), {study.threads} thread(s), {took_s:.0f} s.
{quick if options.quick else ""}
## Expected

{study.expected}

## Setting

{findings.setting}

## What came out

{came_out}
![{study.title}]({study.name}.png)

{markdown_table(findings.rows)}"""


def _write_table(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_figure(path: Path, draw: Callable[[Figure], None]) -> None:
    """Draw without a screen and without matplotlib's global state."""
    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    figure.savefig(path, metadata={"Software": None})
