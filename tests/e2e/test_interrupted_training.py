"""A training run stopped from outside, as a person or a machine would stop it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT
from training.checkpoint import load_run


@pytest.mark.parametrize(
    ("blow", "status"), [(signal.SIGINT, 0), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_run_keeps_its_best_model_and_goes_on(
    tiny_corpus: Path, tmp_path: Path, blow: signal.Signals, status: int
) -> None:
    """Ctrl-C ends it in order, kill -9 does not; either way nothing but the last steps is lost."""
    run = tmp_path / "run"
    # A background job's children ignore Ctrl-C, and this test may be such a child.
    command = ["env", "--default-signal=INT", sys.executable, "-u", "-m", "training"]
    command += ["train", "tiny"]
    command += ["--data", str(tiny_corpus), "--out", str(run)]
    command += ["--set", "epochs=8", "--set", "validations=40"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as training:
        for line in training.stdout:
            if line.startswith("step "):
                training.send_signal(blow)
                break
        rest = training.stdout.read()
    assert status == training.returncode
    assert ("stopped at step" in rest) == (blow == signal.SIGINT)
    stopped_at = load_run(run).metrics["step"]

    resumed = subprocess.run([*command, "--resume"], cwd=ROOT, capture_output=True, check=True)
    assert b"best: valid perplexity" in resumed.stdout
    assert load_run(run).metrics["step"] > stopped_at
