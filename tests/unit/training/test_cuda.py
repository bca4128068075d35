"""A run on a GPU is the run on the CPU, sooner. (Without a GPU: nothing is left on the CPU.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.training.support import (
    before_step,
    press_ctrl_c,
    random_ids,
    read_log,
    run_config,
)
from training.checkpoint import load_run, read_tensors, save_tensors
from training.config import CELLS
from training.corpus import Windows
from training.devices import prepare
from training.errors import ConfigError, RunError
from training.loop import Stepper, mean_loss
from training.model import LanguageModel
from training.resume import check_same_device
from training.train import train

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")
CHANCE = {"dropout_output": 0.2, "dropout_words": 0.1, "forget": 0.2, "softmax_samples": 5}


def learner(device: str, **changes: Any) -> Stepper:
    """A stepper over a fresh model on a device."""
    config = run_config(**changes)
    torch.manual_seed(config.seed)
    return Stepper(LanguageModel(config).to(device), config, total_steps=10)


@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm"])
def test_nothing_is_left_on_the_cpu(
    cell: str, normalization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device that holds no numbers, and takes no tensors of others, a step goes through."""
    shape = {"cell": cell, "normalization": normalization, "layers": 2}
    drops = {"dropout_mask": "window", "dropout_words": 0.1, "dropout_weights": 0.1, "forget": 0.1}
    learning = {"optimizer": "sgd", "average": "ema", "ar": 0.1, "tar": 0.1}
    stepper, ids_NB = learner("meta", **shape, **drops, **learning), random_ids(11, 4)
    monkeypatch.setattr(torch.Tensor, "item", lambda _: 1.5)

    assert 1.5 == stepper.step(0, ids_NB[:-1], ids_NB[1:])
    assert 1.5 == mean_loss(stepper.model, Windows(ids_NB, 5))
    tensors = [*stepper.model.state_dict().values(), *stepper.average.mean.values()]
    assert {"meta"} == {tensor.device.type for tensor in tensors}


@pytest.mark.parametrize(
    ("before", "now"), [("cpu", "cuda"), ("cuda", "cpu")], ids=["to the GPU", "to the CPU"]
)
def test_a_checkpoint_of_another_device_is_refused(before: str, now: str) -> None:
    """The difference is named, and how to go on as the run was begun."""
    written = {"random": torch.zeros(1)} | ({"random_cuda": torch.zeros(1)} if now == "cpu" else {})

    with pytest.raises(RunError) as refused:
        check_same_device(Path("run"), written, torch.device(now))

    said = f"run was trained on {before}, not on {now}: add --set device={before}"
    assert said == str(refused.value)
    check_same_device(Path("run"), written, torch.device(before))


def test_a_run_begun_on_a_gpu_does_not_go_on_without(corpus: Path, tmp_path: Path) -> None:
    """Resuming a checkpoint that holds a GPU's chance is refused, and nothing is touched."""
    with before_step(15, press_ctrl_c):
        run = train("r", run_config(), corpus, tmp_path / "run")
    tensors, metadata = read_tensors(run / "last.safetensors")
    gpus = {"random_cuda": torch.zeros(1, 16, dtype=torch.uint8)}
    save_tensors(run / "last.safetensors", tensors | gpus, metadata)
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    with pytest.raises(RunError, match="was trained on cuda, not on cpu: add --set device=cuda"):
        train("r", run_config(), corpus, run, resume=True)

    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_how_the_device_was_named_does_not_matter(corpus: Path, tmp_path: Path) -> None:
    """A run that found itself on the CPU goes on where the CPU is asked for by name."""
    named = "auto" if not torch.cuda.is_available() else "cpu"
    with before_step(15, press_ctrl_c):
        train("r", run_config(device=named), corpus, tmp_path / "run")

    run = train("r", run_config(device="cpu"), corpus, tmp_path / "run", resume=True)

    assert [6, 12, 18, 24] == [line["step"] for line in read_log(run)]


@gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_step_on_a_gpu_is_one_on_the_cpu(cell: str, precision: str) -> None:
    """Every cell has the same losses there to rounding, in either precision."""
    prepare(torch.device("cuda", 0))
    ids_NB = random_ids(41, 4, vocabulary=17)
    losses = {}
    for device in ("cpu", "cuda"):
        stepper = learner(device, cell=cell, layers=2, precision=precision)
        windows = Windows(ids_NB, 10)
        losses[device] = [stepper.step(n, *windows[n]) for n in range(4)]
        losses[device].append(mean_loss(stepper.model, windows))

    tolerance = 1e-4 if precision == "float32" else 0.05
    assert losses["cpu"] == pytest.approx(losses["cuda"], rel=tolerance)


@gpu
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_autocast_on_a_gpu_is_bfloat16(cell: str) -> None:
    """torch's fused kernels run in the type that was asked for, not in float16."""
    stepper = learner("cuda", cell=cell, precision="bfloat16")
    ids_NB = random_ids(11, 4, vocabulary=17)

    stepper.step(0, ids_NB[:-1], ids_NB[1:])

    assert {torch.bfloat16} == {part.dtype for layer in stepper.state for part in layer}


@gpu
@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16"}, {"average": "ema"}])
@pytest.mark.parametrize("cell", ["lstm", "peephole_lstm"])
def test_a_run_on_a_gpu_resumes_exactly(
    cell: str, changes: dict[str, Any], corpus: Path, tmp_path: Path
) -> None:
    """Stopped and resumed, it gives the very weights and log of one that ran through."""
    config = run_config(cell=cell, device="cuda", **CHANCE, **changes)
    whole = train("r", config, corpus, tmp_path / "whole")

    with before_step(15, press_ctrl_c):
        train("r", config, corpus, tmp_path / "parts")
    parts = train("r", config, corpus, tmp_path / "parts", resume=True)

    assert (whole / "log.jsonl").read_bytes() == (parts / "log.jsonl").read_bytes()
    ours, theirs = (read_tensors(run / "last.safetensors")[0] for run in (whole, parts))
    assert set(ours) == set(theirs)
    assert [] == [name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])]


@gpu
def test_a_run_from_a_gpu_is_read_on_the_cpu(corpus: Path, tmp_path: Path) -> None:
    """Whoever evaluates or exports it needs no GPU; and it does not go on without one."""
    run = train("r", run_config(device="cuda"), corpus, tmp_path / "run")

    assert "cpu" == load_run(run).model.device.type
    with pytest.raises(RunError, match="was trained on cuda, not on cpu"):
        train("r", run_config(device="cpu"), corpus, run, resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch finds a GPU here")
def test_without_a_gpu_none_can_be_asked_for(corpus: Path, tmp_path: Path) -> None:
    """That is said before the run's folder is made."""
    with pytest.raises(ConfigError, match="torch finds no GPU: install a driver"):
        train("r", run_config(device="cuda"), corpus, tmp_path / "run")

    assert not (tmp_path / "run").exists()
