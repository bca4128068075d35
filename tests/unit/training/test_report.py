"""A run leaves a report that a person can read."""

from __future__ import annotations

from pathlib import Path

from tests.unit.training.support import read_log, run_config, write_corpus
from training.report import write_report
from training.train import train


def test_a_run_ends_with_a_report(tmp_path: Path) -> None:
    """Configuration, best validation and a picture of the curves."""
    run = train("mine", run_config(), write_corpus(tmp_path / "corpus"), tmp_path / "run")

    report = (run / "report.md").read_text()
    best = min(read_log(run), key=lambda line: line["valid_loss"])

    assert "Recipe `mine`" in report
    assert f"perplexity {best['valid_perplexity']:.2f} at step {best['step']}" in report
    assert "| cell | gru |" in report
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_curves_show_where_the_whole_softmax_begins(tmp_path: Path) -> None:
    """A run that goes over to it draws a line more than the same run would without."""
    config = run_config(softmax_samples=5, softmax_whole=0.25)
    run = train("mine", config, write_corpus(tmp_path / "corpus"), tmp_path / "run")
    drawn = (run / "curves.png").read_bytes()

    write_report(run, "mine", config.model_dump() | {"softmax_whole": 0.0})

    assert drawn != (run / "curves.png").read_bytes()


def test_a_run_without_a_validation_has_nothing_to_report(tmp_path: Path) -> None:
    """No log line, no report."""
    for name in ("log.jsonl", "speed.jsonl"):
        (tmp_path / name).write_text("")
    write_report(tmp_path, "mine", {})
    assert not (tmp_path / "report.md").exists()
