"""A disk that is full while a checkpoint is written."""

from __future__ import annotations

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.e2e.server import ROOT
from training.checkpoint import load_run

COMMAND = [sys.executable, "-m", "training", "train", "tiny", "--set", "epochs=0.2"]


def train(corpus: Path, out: Path, most_bytes: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Train where no file may grow beyond so many bytes."""
    return subprocess.run(
        [*COMMAND, "--data", str(corpus), "--out", str(out), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )


def test_a_run_ends_in_order_on_a_full_disk(tiny_corpus: Path, tmp_path: Path) -> None:
    """It says which file, keeps what was whole, and goes on when there is room again."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert 0 == train(tiny_corpus, whole, 10**9).returncode
    # The tokens and the best weights fit, the checkpoint with the optimiser's state does not.
    room = max((whole / name).stat().st_size for name in ("train.ids", "best.safetensors"))
    failed = train(tiny_corpus, run, room + 1000)

    assert 2 == failed.returncode
    assert "last.safetensors cannot be written: File too large" in failed.stderr
    assert [] == list(run.glob(".*"))
    assert load_run(run).metrics["step"] > 0

    resumed = train(tiny_corpus, run, 10**9, "--resume")
    assert 0 == resumed.returncode, resumed.stderr
    assert (whole / "best.safetensors").read_bytes() == (run / "best.safetensors").read_bytes()


def test_the_checkpoint_before_survives(tmp_path: Path) -> None:
    """A larger one that does not fit leaves the smaller one as it was."""
    (tmp_path / "last").write_bytes(b"before")
    code = "from pathlib import Path; from training.checkpoint import write_whole; "
    code += f"write_whole(Path({str(tmp_path / 'last')!r}), bytes(5000))"

    failed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, 1000)),
    )

    assert "cannot be written: File too large; the one before is kept" in failed.stderr
    assert [tmp_path / "last"] == list(tmp_path.iterdir())
    assert b"before" == (tmp_path / "last").read_bytes()
