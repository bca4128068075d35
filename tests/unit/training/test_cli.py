"""The command line: its commands work end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models import bundle
from tests.unit.training.support import SIZES, Say
from training.checkpoint import load_run
from training.evaluate import evaluate
from training.scorer import OnnxScorer

SMALL = ["--set", "vocabulary=17", "--set", "hidden=8", "--set", "embedding=6", "--set", "batch=4"]
SHORT = ["--set", "bptt=10", "--set", "epochs=1", "--set", "validations=2", "--set", "threads=1"]


def random(say: Say, *more: str) -> tuple[int, str, str]:
    """Write a random bundle to `@repository`."""
    return say("random", "--cell", "gru", *SIZES, "--name", "r", "--to", "@repository", *more)


def test_a_random_bundle_can_be_evaluated(say: Say, tmp_path: Path) -> None:
    """`random` writes a bundle of the asked-for size, and `evaluate` measures it."""
    (tmp_path / "text.txt").write_text("w0 w1 w2 w3\n\nw9 w1\n")
    status, said, _ = random(say)

    assert (0, f"wrote {tmp_path / 'repository' / 'r' / '1'}\n") == (status, said)
    status, said, _ = say("evaluate", "@repository/r/1", "--data", "@text.txt", "--json")

    figures: dict[str, Any] = json.loads(said)
    assert (0, 9, 6) == (status, figures["tokens"], figures["words"])
    assert 1 < figures["perplexity"] < 100
    shape = bundle.load(tmp_path / "repository" / "r" / "1").manifest.architecture
    assert ("gru", 1, 4, 6, 12, True) == (
        *(shape.cell, shape.layers, shape.embedding),
        *(shape.hidden, shape.vocabulary, shape.tied),
    )


def test_random_weights_follow_the_seed(say: Say, tmp_path: Path) -> None:
    """The same seed gives the same graphs, another one others; the head may be untied."""
    random(say, "--seed", "5")
    random(say, "--seed", "5", "--version", "2")
    random(say, "--seed", "6", "--version", "3")
    random(say, "--untied", "--version", "4")

    loaded = [bundle.load(tmp_path / "repository" / "r" / str(n)) for n in range(1, 5)]

    assert loaded[0].graphs() == loaded[1].graphs()
    assert loaded[0].graphs() != loaded[2].graphs()
    assert not loaded[3].manifest.architecture.tied
    assert ("<unk>", "\n", "w0", "w1", "w2") == loaded[0].tokenizer.tokens[:5]


def test_a_run_and_its_bundle_have_the_same_figures(say: Say, corpus: Path) -> None:
    """Trained, exported and evaluated, run and bundle print the same table, size and time aside."""
    trained, _, _ = say("train", "tiny", "--data", "@corpus", "--out", "@run", *SMALL, *SHORT)
    exported, _, _ = say("export", "@run", "--name", "m", "--to", "@repository")
    _, of_run, _ = say("evaluate", "@run", "--data", "@corpus/test.txt")
    _, of_bundle, _ = say("evaluate", "@repository/m/1", "--data", "@corpus/test.txt")

    assert (0, 0) == (trained, exported)
    assert of_run.split("size")[0] == of_bundle.split("size")[0]
    assert of_run.startswith("perplexity ")


def test_an_export_takes_its_options(say: Say, corpus: Path, tmp_path: Path) -> None:
    """Version, weights, licence, single file and Triton's configuration all arrive."""
    (tmp_path / "LICENCE").write_text("Do as you like, naïvely.\n", encoding="utf-8")
    say("train", "tiny", "--data", "@corpus", "--out", "@run", *SMALL, *SHORT)

    status, _, _ = say(
        *("export", "@run", "--name", "m", "--to", "@repository", "--version", "7"),
        *("--weights", "float16", "--licence", "Free for all.", "--licence-file", "@LICENCE"),
        *("--single-file", "--triton", "--test", "@corpus/test.txt"),
    )

    loaded = bundle.load(tmp_path / "repository" / "m" / "7")
    card = loaded.files["README.md"].decode()
    assert status == 0
    assert loaded.manifest.provenance.recipe == "tiny"
    assert loaded.manifest.provenance.corpus == "corpus"
    assert loaded.manifest.provenance.licence == "Free for all."
    assert loaded.manifest.provenance.steps == load_run(tmp_path / "run").metrics["step"] > 0
    metrics = loaded.manifest.provenance.metrics
    text = (tmp_path / "corpus" / "test.txt").read_text(encoding="utf-8")
    measured = evaluate(OnnxScorer(*loaded.graphs()), loaded.tokenizer, text)
    assert metrics["test_perplexity"] == pytest.approx(measured.perplexity, abs=1e-4)
    assert metrics["test_top3"] == pytest.approx(measured.top3, abs=1e-4)
    assert metrics["valid_perplexity"] > 1
    assert {"model.onnx"} < set(loaded.files)
    assert (tmp_path / "repository" / "m" / "config.pbtxt").exists()
    for words in ("Free for all.", "Do as you like, naïvely.", "float16", "test_perplexity"):
        assert words in card


def test_a_stopped_run_can_be_resumed(say: Say, corpus: Path) -> None:
    """`--resume` goes on with a run that is there."""
    command = ("train", "tiny", "--data", "@corpus", "--out", "@run", *SMALL, *SHORT)
    say(*command)

    assert say(*command)[0] == 2
    assert say(*command, "--resume")[0] == 0


def test_the_module_is_a_program() -> None:
    """`python -m training` explains itself, and does so without loading torch."""
    code = "import runpy, sys; sys.argv[1:] = ['--help']\n"
    code += "try: runpy.run_module('training', run_name='__main__')\n"
    code += "finally: assert 'torch' not in sys.modules"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    offered = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
    assert {"train", "evaluate", "export", "import-keras", "random"} <= offered


@pytest.mark.parametrize(("world", "ends"), [("1", ["gone"]), ("2", [])])
def test_one_of_several_processes_leaves_at_once(
    world: str, ends: list[str], corpus: Path, tmp_path: Path
) -> None:
    """With its output written and its status, but without what else runs as an interpreter ends."""
    code = "import atexit, runpy, sys; atexit.register(print, 'gone')\n"
    code += f"sys.argv[1:] = ['data', 'report', {str(corpus)!r}]\n"
    code += "runpy.run_module('training', run_name='__main__')"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"WORLD_SIZE": world},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "tokens" in done.stdout
    assert ends == [line for line in done.stdout.splitlines() if line == "gone"]
