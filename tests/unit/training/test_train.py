"""A run from beginning to end: it learns, keeps its best model, and stops when it should."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.unit.training.support import (
    VOCABULARY,
    before_step,
    blow_up,
    press_ctrl_c,
    read_log,
    run_config,
    write_corpus,
)
from training.checkpoint import load_run, read_tensors
from training.corpus import load_corpus
from training.errors import CorpusError, DivergedError, RunError
from training.intake import validation_windows
from training.loop import mean_loss
from training.train import train

FIELDS = {
    *("step", "epoch", "train_loss", "valid_loss", "valid_perplexity"),
    *("learning_rate", "best"),
}
LONG = run_config(epochs=4.0)
"""48 steps, validated every 12."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of three sentences in random order."""
    return write_corpus(tmp_path_factory.mktemp("train") / "corpus")


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over it."""
    return train("recipe", LONG, corpus, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_learns(run: Path) -> None:
    """The validation loss falls far below that of guessing."""
    losses = [line["valid_loss"] for line in read_log(run)]

    assert losses[-1] < math.log(VOCABULARY) - 0.1
    assert losses[-1] < 0.5 * math.log(VOCABULARY)


def test_a_log_line_holds_every_figure(run: Path) -> None:
    """Validations are spread evenly and end with the last step; each has a line of figures."""
    log = read_log(run)

    assert [12, 24, 36, 48] == [line["step"] for line in log]
    assert [1.0, 2.0, 3.0, 4.0] == [line["epoch"] for line in log]
    for line in log:
        assert set(line) == FIELDS
        assert line["valid_perplexity"] == math.exp(line["valid_loss"])
        assert 0 < line["train_loss"] < math.log(VOCABULARY) + 0.1
    assert log[0]["learning_rate"] > log[-1]["learning_rate"] > 0


def test_the_best_model_is_kept(run: Path, corpus: Path) -> None:
    """The run gives back the weights, step and losses of its best validation."""
    best = min(read_log(run), key=lambda line: line["valid_loss"])
    kept = load_run(run)

    windows = validation_windows(load_corpus(corpus, "natural", VOCABULARY).valid, LONG)

    assert {"step", "valid_loss", "valid_perplexity"} == set(kept.metrics)
    assert {key: best[key] for key in kept.metrics} == kept.metrics
    assert best["valid_loss"] == mean_loss(kept.model, windows)
    assert not kept.model.training


def test_a_worse_model_is_not_kept(corpus: Path, tmp_path: Path) -> None:
    """Where the loss rises again, the kept model is that of the lowest validation."""
    config = run_config(
        epochs=6.0, validations=12, patience=9, schedule="constant", learning_rate=0.4
    )

    run = train("recipe", config, corpus, tmp_path / "run")

    log = read_log(run)
    best = min(log, key=lambda line: line["valid_loss"])
    assert best["step"] < log[-1]["step"]
    assert best["step"] == load_run(run).metrics["step"]
    assert best["best"]
    assert not log[-1]["best"]


def test_a_run_knows_where_it_comes_from(run: Path, corpus: Path) -> None:
    """Recipe, configuration, corpus and tokenizer can be read back."""
    kept, read = load_run(run), load_corpus(corpus, "natural", VOCABULARY)

    assert ("recipe", LONG) == (kept.info.recipe, kept.info.config)
    assert ("corpus", read.sha256) == (kept.info.corpus_name, kept.info.corpus_sha256)
    assert read.tokenizer.tokens == kept.tokenizer.tokens


def test_the_same_seed_gives_the_same_run(corpus: Path, run: Path, tmp_path: Path) -> None:
    """A run can be repeated bit for bit, and another seed gives another model."""
    again = train("recipe", LONG, corpus, tmp_path / "again")
    other = train("recipe", run_config(seed=2), corpus, tmp_path / "other")

    wanted, same, different = (
        read_tensors(folder / "last.safetensors")[0] for folder in (run, again, other)
    )

    assert set(wanted) == set(same)
    assert all(torch.equal(tensor, same[name]) for name, tensor in wanted.items())
    assert not torch.equal(wanted["model.embedding"], different["model.embedding"])


def test_an_existing_run_is_not_overwritten(run: Path, corpus: Path) -> None:
    """Training into a folder that holds a run is refused with what to do, and changes nothing."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    with pytest.raises(RunError, match="holds a run already: add --resume, or choose another"):
        train("recipe", run_config(), corpus, run)

    assert before == {path.name: path.read_bytes() for path in run.iterdir()}


def test_a_run_stops_when_nothing_gets_better(corpus: Path, tmp_path: Path) -> None:
    """After as many validations without a new best as the patience allows, the run ends."""
    config = run_config(epochs=6.0, validations=9, patience=3, optimizer="sgd", learning_rate=1e-30)

    log = read_log(train("recipe", config, corpus, tmp_path / "run"))

    assert [True, False, False, False] == [line["best"] for line in log]


def test_a_run_that_diverges_says_so(corpus: Path, tmp_path: Path) -> None:
    """A loss that is no number ends the run with an error, and the best model so far is kept."""
    with before_step(15, blow_up), pytest.raises(DivergedError, match="loss is nan at step 15:"):
        train("recipe", LONG, corpus, tmp_path / "run")

    assert load_run(tmp_path / "run").metrics["step"] == 12


def test_ctrl_c_leaves_the_best_model(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that is interrupted ends in order, says where, and leaves what it had."""
    with before_step(15, press_ctrl_c):
        run = train("recipe", LONG, corpus, tmp_path / "run")

    said = capsys.readouterr().out
    perplexity = load_run(run).metrics["valid_perplexity"]
    assert "stopped at step 15\n" in said
    assert f"best: valid perplexity {perplexity:.2f}, in {run}\n" in said
    assert [12] == [line["step"] for line in read_log(run)]
    assert [] == [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_ctrl_c_before_the_first_validation_says_so(corpus: Path, tmp_path: Path) -> None:
    """Where nothing was saved yet, the run says that instead of naming a model."""
    with (
        before_step(2, press_ctrl_c),
        pytest.raises(RunError, match="stopped before the first validation"),
    ):
        train("recipe", LONG, corpus, tmp_path / "run")


def test_a_bad_corpus_leaves_no_run(tmp_path: Path) -> None:
    """A mistake in the corpus is found before the run's folder is made."""
    with pytest.raises(CorpusError):
        train("recipe", LONG, tmp_path / "missing", tmp_path / "run")

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu", "lstm", "peephole_lstm"])
def test_every_cell_trains(cell: str, corpus: Path, tmp_path: Path) -> None:
    """Each cell learns from a few steps, with two layers, every dropout, and forgetting."""
    drops = {f"dropout_{place}": 0.05 for place in ("embedding", "layers", "output")}
    config = run_config(cell=cell, layers=2, tied=False, forget=0.1, **drops)

    losses = [line["valid_loss"] for line in read_log(train("r", config, corpus, tmp_path / "r"))]

    assert losses[-1] < math.log(VOCABULARY) - 0.1


def test_validation_streams_are_long_or_few(corpus: Path) -> None:
    """A validation's streams span four windows each, or there is only one."""
    ids = load_corpus(corpus, "natural", VOCABULARY).valid

    assert 1 == validation_windows(ids[:50], run_config()).ids_NB.shape[1]
    assert 2 == validation_windows(ids[:90], run_config()).ids_NB.shape[1]
    assert 4 == validation_windows(ids[:90], run_config(bptt=2)).ids_NB.shape[1]
