"""What every study has in common: it is found by name, runs, and leaves table, figure, report."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from training.cli import main
from training.errors import StudyError
from training.studies.study import (
    NAMES,
    Findings,
    Options,
    Study,
    find_study,
    markdown_table,
    run_study,
)


def findings(options: Options) -> Findings:
    """Two rows, and how many threads there were."""
    return Findings(
        rows=[{"cell": "lstm", "loss": 0.123456}, {"cell": "gru", "loss": 2.0}],
        draw=lambda figure: figure.subplots().plot([1, 2]) and None,
        outcome=[f"it ran on {torch.get_num_threads()} thread(s)"],
        seeds=options.seeds or 3,
        setting="nothing was trained",
    )


STUDY = Study("toy", "A toy", "that it runs", findings, threads=2)


def test_a_study_leaves_a_table_a_figure_and_a_report(tmp_path: Path) -> None:
    """CSV, PNG and Markdown, named after the study, in a folder that is made for them."""
    report = run_study(STUDY, Options(seeds=4), tmp_path / "new" / "out")

    out = tmp_path / "new" / "out"
    with (out / "toy.csv").open() as file:
        assert [{"cell": "lstm", "loss": "0.123456"}, {"cell": "gru", "loss": "2.0"}] == list(
            csv.DictReader(file)
        )
    assert (out / "toy.png").read_bytes().startswith(b"\x89PNG")
    assert report == (out / "toy.md").read_text()
    for told in ("that it runs", "nothing was trained", "2 thread(s)", "4 seed(s)", "--seeds 4"):
        assert told in report


def test_a_quick_run_says_so(tmp_path: Path) -> None:
    """Nobody shall take its figures for results."""
    assert "quick run" in run_study(STUDY, Options(quick=True), None)
    assert "quick run" not in run_study(STUDY, Options(), None)


def test_the_number_of_threads_is_put_back() -> None:
    """A study's threads are its own."""
    before = torch.get_num_threads()
    run_study(STUDY, Options(), None)
    assert before == torch.get_num_threads()


def test_a_study_that_makes_its_own_data_takes_none(tmp_path: Path) -> None:
    """--data would change nothing, so it is refused."""
    with pytest.raises(StudyError, match="makes its own data"):
        run_study(STUDY, Options(data=tmp_path), None)


def test_the_folder_is_tried_before_the_work(tmp_path: Path) -> None:
    """An unusable --out is found out at once, not after an hour."""
    (tmp_path / "file").write_text("")
    ran = []
    study = Study("toy", "A toy", "", lambda options: ran.append(1) or findings(options))

    with pytest.raises(OSError, match="file"):
        run_study(study, Options(), tmp_path / "file" / "out")

    assert [] == ran


def test_floats_have_four_digits() -> None:
    """A table shows what can be read."""
    table = markdown_table([{"a": 1, "b": 0.123456, "c": "x"}])
    assert "| a | b | c |\n| --- | --- | --- |\n| 1 | 0.1235 | x |\n" == table


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_a_study(name: str) -> None:
    """Each study is found, and knows its name and what is expected of it."""
    study = find_study(name)
    assert name == study.name
    assert study.expected


def test_an_unknown_study_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The error names the nearest one."""
    assert 2 == main(["study", "gradient"])
    assert "did you mean 'gradients'?" in capsys.readouterr().err


def test_speed_times_every_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`study speed --quick` has a row for nn.LSTM, every cell and both normalisations."""
    assert 0 == main(["study", "speed", "--quick", "--out", str(tmp_path)])
    with (tmp_path / "speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "nn.LSTM" == rows[0]["layer"]
    assert 1.0 == float(rows[0]["times nn.LSTM"])
    assert 11 == len({row["layer"] for row in rows}) == len(rows)
    assert all(float(row["step (ms)"]) > 0 for row in rows)
    assert "asked for" in capsys.readouterr().out
