"""What TensorBoard is given of a run. (The JSONL logs: test_train, test_resume.)"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.unit.training.support import Say, before_step, press_ctrl_c, read_log, run_config
from training.errors import MissingError
from training.logs import Board, check_board
from training.train import train

STEPS = list(range(1, 25))
OFTEN = ("training/loss", "training/learning_rate", "training/tokens_per_s")


def read_board(run: Path) -> dict[str, dict[int, float]]:
    """Every curve's values by step, as TensorBoard itself reads them; no step stands twice."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    curves = {}
    for name in events.Tags()["scalars"]:
        values = [(event.step, event.value) for event in events.Scalars(name)]
        curves[name] = dict(values)
        assert len(values) == len(curves[name]), name
    return curves


def test_every_curve_is_written_by_step(corpus: Path, tmp_path: Path) -> None:
    """Loss, rate and speed at every step, the perplexity at every validation, as in the log."""
    run = train("r", run_config(), corpus, tmp_path / "run", tensorboard=True)

    curves, log = read_board(run), read_log(run)

    assert {*OFTEN, "validation/perplexity"} == set(curves)
    assert [STEPS] * 3 == [list(curves[name]) for name in OFTEN]
    for line in log:
        at = line["step"]
        assert line["valid_perplexity"] == pytest.approx(curves["validation/perplexity"][at])
        assert line["train_loss"] == pytest.approx(curves["training/loss"][at])
        assert line["learning_rate"] == pytest.approx(curves["training/learning_rate"][at])
    assert len(log) == len(curves["validation/perplexity"])
    assert all(speed > 0 for speed in curves["training/tokens_per_s"].values())


def test_a_resumed_board_is_the_board_without_a_stop(corpus: Path, tmp_path: Path) -> None:
    """Steps behind the checkpoint are voided, so that none stands twice and none is missing."""
    whole = train("r", run_config(), corpus, tmp_path / "whole", tensorboard=True)

    with before_step(15, press_ctrl_c):
        train("r", run_config(), corpus, tmp_path / "parts", tensorboard=True)
    assert 15 == max(read_board(tmp_path / "parts")["training/loss"])
    parts = train("r", run_config(), corpus, tmp_path / "parts", resume=True, tensorboard=True)

    boards = [read_board(run) for run in (whole, parts)]
    for board in boards:
        del board["training/tokens_per_s"]
    assert boards[0] == boards[1]


def test_a_board_is_not_part_of_what_a_run_is(corpus: Path, tmp_path: Path) -> None:
    """A run goes on with or without one, and comes to the same log."""
    whole = train("r", run_config(), corpus, tmp_path / "whole")

    with before_step(15, press_ctrl_c):
        train("r", run_config(), corpus, tmp_path / "parts")
    parts = train("r", run_config(), corpus, tmp_path / "parts", resume=True, tensorboard=True)

    assert not (whole / "tensorboard").exists()
    assert list(range(13, 25)) == list(read_board(parts)["training/loss"])
    assert (whole / "log.jsonl").read_bytes() == (parts / "log.jsonl").read_bytes()
    assert "tensorboard" not in json.loads((parts / "run.json").read_text())["config"]


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    """As in every process but the first."""
    with Board(None, 0) as board:
        board.write(1, {"training/loss": 1.0})
        board.flush()

    assert [] == list(tmp_path.iterdir())


def test_a_missing_tensorboard_is_named() -> None:
    """The error says what to install."""
    with pytest.raises(MissingError, match=r"pip install 'nextword\[tensorboard\]'"):
        check_board(lambda _: None)


def test_the_command_line_has_a_switch_for_it(say: Say, corpus: Path, tmp_path: Path) -> None:
    """`--tensorboard` is enough."""
    settings = [f"{key}={value}" for key, value in run_config(epochs=0.5).model_dump().items()]
    overrides = [word for setting in settings for word in ("--set", setting)]

    status, _, said = say(
        "train", "tiny", "--data", "@corpus", "--out", "@run", "--tensorboard", *overrides
    )

    assert 0 == status, said
    assert list(range(1, 7)) == list(read_board(tmp_path / "run")["training/loss"])
