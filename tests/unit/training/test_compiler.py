"""torch.compile in a run: the same model comes out, and what it needs is asked for in time."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.unit.training.support import read_log, run_config
from training.checkpoint import load_run, read_tensors
from training.compiler import check_compiler
from training.devices import CPU
from training.errors import MissingError
from training.train import train

GPU = torch.device("cuda", 0)
USUAL = "clang++" if sys.platform == "darwin" else "g++"


def only(*names: str) -> Callable[[str], str | None]:
    """Finds nothing but these."""
    return lambda name: name if name in names else None


@pytest.mark.parametrize(
    ("device", "found", "environment"),
    [
        (CPU, [USUAL], {}),
        (CPU, ["icpx"], {"CXX": "icpx"}),
        (GPU, ["triton", "gcc"], {}),
        (GPU, ["triton", "clang"], {}),
        (GPU, ["triton", "icx"], {"CC": "icx"}),
    ],
)
def test_a_compiler_that_is_there_is_enough(
    device: torch.device, found: list[str], environment: dict[str, str]
) -> None:
    """The usual one, or the one that the environment names."""
    check_compiler(device, only(*found), only(*found), environment)


@pytest.mark.parametrize(
    ("device", "found", "environment", "said"),
    [
        (CPU, [], {}, f"needs a C++ compiler, and there is no {USUAL}: install one, or name"),
        (CPU, [USUAL], {"CXX": "icpx"}, "needs a C++ compiler, and there is no icpx: install"),
        (GPU, ["gcc"], {}, "needs the package triton on a GPU"),
        (GPU, ["triton"], {}, "needs a C compiler, and there is no clang or gcc: install one"),
    ],
)
def test_a_missing_compiler_is_named(
    device: torch.device, found: list[str], environment: dict[str, str], said: str
) -> None:
    """The error says what to install, or how to name another."""
    with pytest.raises(MissingError) as refused:
        check_compiler(device, only(*found), only(*found), environment)

    assert said in str(refused.value)


def test_a_missing_compiler_is_found_before_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written where the run could not start."""
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(MissingError, match=r"needs a C\+\+ compiler, and there is no no-such"):
        train("r", run_config(compile=True), corpus, tmp_path / "run")

    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", USUAL)) is None, reason="there is no C++ compiler here"
)
@pytest.mark.parametrize(
    "changes",
    [{"cell": "peephole_lstm"}, {"cell": "gru", "normalization": "layer"}],
    ids=["hand-written pass", "step by step"],
)
# torch's compiler imports a deprecated part of torch, and hides the second warning from users.
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_compiled_run_learns_the_same(
    changes: dict[str, object], corpus: Path, tmp_path: Path
) -> None:
    """Losses and weights are the same to rounding, and checkpoints name weights as ever."""
    config = run_config(bptt=2, epochs=0.4, **changes)
    plain = train("r", config, corpus, tmp_path / "plain")

    compiled = train(
        "r", config.model_copy(update={"compile": True}), corpus, tmp_path / "compiled"
    )

    losses = [[line["valid_loss"] for line in read_log(run)] for run in (plain, compiled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    theirs, ours = (read_tensors(run / "last.safetensors")[0] for run in (plain, compiled))
    assert set(theirs) == set(ours)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-3, rtol=1e-3, msg=name)
    assert load_run(compiled).info.config.compile
