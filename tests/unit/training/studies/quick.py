"""Run a study as `--quick` does and read what it left. No tests."""

from __future__ import annotations

import csv
from pathlib import Path

from training.studies.study import Options, find_study, run_study


def run_quickly(name: str, out: Path) -> tuple[list[dict[str, str]], str]:
    """The table and the report of a quick run; the figure must be there too."""
    report = run_study(find_study(name), Options(quick=True), out)
    assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert report == (out / f"{name}.md").read_text()
    with (out / f"{name}.csv").open() as file:
        return list(csv.DictReader(file)), report
