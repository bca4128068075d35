"""One model trained by two processes, started by torchrun as on two machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.e2e.server import ROOT
from training.checkpoint import load_run, read_tensors

NO_CHANCE = ["--set", "forget=0", "--set", "epochs=1", "--set", "validations=3"]
TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="torch finds no two GPUs here")


def train(corpus: Path, out: Path, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the tiny recipe to its end."""
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    command += ["training", "train", "tiny", "--data", str(corpus), "--out", str(out), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=TWO_GPUS)])
def settings(request: pytest.FixtureRequest) -> list[str]:
    """Of every run: on the CPU the processes talk by gloo, on GPUs by nccl."""
    return [*NO_CHANCE, "--set", f"device={request.param}"]


@pytest.fixture(scope="module")
def alone(settings: list[str], tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert 0 == train(tiny_corpus, out, 1, *settings).returncode
    return out


@pytest.fixture(scope="module")
def together(
    settings: list[str], tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same run, its streams shared by two processes."""
    out = tmp_path_factory.mktemp("together") / "run"
    done = train(tiny_corpus, out, 2, *settings)
    assert 0 == done.returncode, done.stderr
    assert 1 == done.stdout.count("best: valid perplexity")
    return out


def test_two_processes_learn_what_one_does(alone: Path, together: Path) -> None:
    """With the same streams in all, weights and losses are the same to rounding."""
    ours, _ = read_tensors(together / "last.safetensors")
    theirs, _ = read_tensors(alone / "last.safetensors")

    for name, tensor in theirs.items():
        if name.startswith(("model.", "state.")):
            torch.testing.assert_close(ours[name], tensor, atol=2e-4, rtol=1e-3)
    perplexity = load_run(alone).metrics["valid_perplexity"]
    assert perplexity == pytest.approx(load_run(together).metrics["valid_perplexity"], rel=1e-3)


def test_two_processes_can_go_on(settings: list[str], together: Path, tiny_corpus: Path) -> None:
    """A resumed run of two takes up the streams of both; of another number it is refused."""
    done = train(tiny_corpus, together, 2, *settings, "--resume")
    assert 0 == done.returncode, done.stderr

    refused = train(tiny_corpus, together, 1, *settings, "--resume")
    assert 2 == refused.returncode
    assert "was trained by 2 process(es), not by 1" in refused.stderr


def test_more_processes_than_streams_are_refused(tiny_corpus: Path, tmp_path: Path) -> None:
    """Every process needs a stream of its own."""
    done = train(tiny_corpus, tmp_path / "run", 2, "--set", "batch=1", "--set", "device=cpu")
    assert 0 != done.returncode
    assert "2 processes for 1 streams: raise batch" in done.stderr
