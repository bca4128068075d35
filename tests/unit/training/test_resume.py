"""A run that was stopped goes on bit for bit, and only with what it began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.support import (
    before_step,
    press_ctrl_c,
    read_log,
    run_config,
    write_corpus,
)
from training.checkpoint import read_tensors
from training.config import RunConfig
from training.errors import RunError
from training.train import train


def config(**changes: Any) -> RunConfig:
    """24 steps, validated every 6, with every kind of chance in it."""
    chance = {"dropout_output": 0.2, "dropout_embedding": 0.1, "forget": 0.2}
    return run_config(**{**chance, **changes})


def stopped_run(corpus: Path, out: Path, step: int = 15, **changes: Any) -> Path:
    """A run that was stopped at a step."""
    with before_step(step, press_ctrl_c):
        return train("r", config(**changes), corpus, out)


def assert_same_weights(one: Path, other: Path) -> None:
    """Best and last checkpoints are the same bit for bit, metadata included."""
    for name in ("best.safetensors", "last.safetensors"):
        (tensors, metadata), (others, other_metadata) = (
            read_tensors(one / name),
            read_tensors(other / name),
        )
        assert metadata == other_metadata
        assert set(tensors) == set(others)
        for key, tensor in tensors.items():
            assert torch.equal(tensor, others[key]), key


@pytest.mark.parametrize("step", [6, 7, 15, 23])
@pytest.mark.parametrize("cell", ["gru", "peephole_lstm"])
def test_a_resumed_run_is_the_run_without_a_stop(
    cell: str, step: int, corpus: Path, tmp_path: Path
) -> None:
    """Stopped anywhere and resumed, a run gives the very weights of one that ran through."""
    whole = train("r", config(cell=cell), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts", step, cell=cell)
    parts = train("r", config(cell=cell), corpus, tmp_path / "parts", resume=True)

    assert_same_weights(whole, parts)


def test_plain_gradient_descent_resumes_too(corpus: Path, tmp_path: Path) -> None:
    """An optimiser that remembers nothing is resumed like one that does."""
    changes = {"optimizer": "sgd", "learning_rate": 0.5}
    whole = train("r", config(**changes), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts", **changes)
    parts = train("r", config(**changes), corpus, tmp_path / "parts", resume=True)

    assert_same_weights(whole, parts)


CRAFT = {
    "dropout_mask": "window",
    "dropout_words": 0.1,
    "dropout_weights": 0.2,
    "vary_bptt": True,
    "ar": 0.1,
    "tar": 0.1,
    "softmax_samples": 5,
}


@pytest.mark.parametrize("step", [7, 15])
@pytest.mark.parametrize(
    "changes",
    [
        {"average": "ema"},
        {"average": "nt_asgd", "average_patience": 1, "validations": 12, "learning_rate": 0.5},
        {"normalization": "batch"},
    ],
)
def test_every_craft_resumes(
    step: int, changes: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    """Averages, running statistics, moving seams and every kind of dropout go on as they were."""
    settings = CRAFT | changes
    whole = train("r", config(**settings), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts", step, **settings)
    parts = train("r", config(**settings), corpus, tmp_path / "parts", resume=True)

    assert_same_weights(whole, parts)


def test_a_resumed_log_is_the_log_without_a_stop(corpus: Path, tmp_path: Path) -> None:
    """Byte for byte."""
    whole = train("r", config(), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts")
    parts = train("r", config(), corpus, tmp_path / "parts", resume=True)

    assert (whole / "log.jsonl").read_bytes() == (parts / "log.jsonl").read_bytes()


def test_the_speed_stands_in_a_file_of_its_own(corpus: Path, tmp_path: Path) -> None:
    """No two runs take the same time, so the log does not tell it."""
    run = train("r", config(), corpus, tmp_path / "run")

    speeds = [json.loads(line) for line in (run / "speed.jsonl").read_text().splitlines()]

    assert [line["step"] for line in read_log(run)] == [line["step"] for line in speeds]
    assert all(line["tokens_per_s"] > 0 for line in speeds)


def test_a_resumed_training_loss_is_that_without_a_stop(corpus: Path, tmp_path: Path) -> None:
    """The running mean of the training loss goes on where it was, like everything else."""
    whole = train("r", config(), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts")
    parts = train("r", config(), corpus, tmp_path / "parts", resume=True)

    losses = [[line["train_loss"] for line in read_log(run)] for run in (whole, parts)]
    assert losses[0] == losses[1]


def test_a_run_can_be_stopped_twice(corpus: Path, tmp_path: Path) -> None:
    """Two stops change as little as one."""
    whole = train("r", config(), corpus, tmp_path / "whole")

    stopped_run(corpus, tmp_path / "parts", 8)
    with before_step(20, press_ctrl_c):
        train("r", config(), corpus, tmp_path / "parts", resume=True)
    parts = train("r", config(), corpus, tmp_path / "parts", resume=True)

    assert_same_weights(whole, parts)


def test_resuming_a_finished_run_changes_nothing(corpus: Path, tmp_path: Path) -> None:
    """Where nothing is left to do, the run stays as it is."""
    run = train("r", config(), corpus, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    train("r", config(), corpus, run, resume=True)

    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_a_log_line_behind_the_checkpoint_is_dropped(corpus: Path, tmp_path: Path) -> None:
    """A line that was written without its checkpoint does not stand in the log twice."""
    run = stopped_run(corpus, tmp_path / "run")
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": 18}) + "\n")

    train("r", config(), corpus, run, resume=True)

    assert [6, 12, 18, 24] == [line["step"] for line in read_log(run)]


def test_a_half_written_log_line_is_no_obstacle(corpus: Path, tmp_path: Path) -> None:
    """A line that a power cut left unfinished is dropped, and the run goes on."""
    run = stopped_run(corpus, tmp_path / "run")
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 18, "epo')

    train("r", config(), corpus, run, resume=True)

    assert [6, 12, 18, 24] == [line["step"] for line in read_log(run)]


def test_a_run_stopped_before_its_first_checkpoint_can_go_on(corpus: Path, tmp_path: Path) -> None:
    """`--resume`, which the refusal of a second run recommends, works from the first step on."""
    whole = train("r", config(), corpus, tmp_path / "whole")
    with pytest.raises(RunError, match="stopped before the first validation"):
        stopped_run(corpus, tmp_path / "parts", 2)

    parts = train("r", config(), corpus, tmp_path / "parts", resume=True)

    assert_same_weights(whole, parts)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden": 16}, "was begun with hidden = 12, not 16"),
        ({"learning_rate": 0.01}, "was begun with learning_rate = 0.05, not 0.01"),
        ({"epochs": 3.0}, "was begun with epochs = 2.0, not 3.0"),
        ({"seed": 2}, "was begun with seed = 1, not 2"),
        ({"text": "pretokenised"}, "was begun with text = 'natural', not 'pretokenised'"),
    ],
)
def test_another_configuration_is_refused(
    change: dict[str, Any], sentence: str, corpus: Path, tmp_path: Path
) -> None:
    """A run goes on only as it was begun; what differs is named and nothing is touched."""
    run = stopped_run(corpus, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    with pytest.raises(RunError) as refused:
        train("r", config(**change), corpus, run, resume=True)

    assert f"{run} {sentence}" == str(refused.value)
    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_another_corpus_is_refused(corpus: Path, tmp_path: Path) -> None:
    """A run goes on only over the text it was begun with."""
    run = stopped_run(corpus, tmp_path / "run")
    other = write_corpus(tmp_path / "other", seed=4)

    with pytest.raises(RunError, match=r"was trained on another train\.txt than this one"):
        train("r", config(), other, run, resume=True)


def test_there_must_be_a_run_to_resume(corpus: Path, tmp_path: Path) -> None:
    """Resuming where nothing is says so."""
    with pytest.raises(RunError, match=r"holds no run \(no run\.json\)"):
        train("r", config(), corpus, tmp_path / "run", resume=True)
