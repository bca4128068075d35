"""A run may begin with the weights and the tokenizer of a run or a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.errors import BundleError
from tests.unit.training.support import Say, before_step, press_ctrl_c, run_config, write_corpus
from training.checkpoint import load_run, read_info, read_tensors
from training.errors import ConfigError, RunError
from training.export import export_run
from training.loop import Stepper
from training.train import train

SHORT = run_config(epochs=1.0, seed=2)


@pytest.fixture
def first(corpus: Path, tmp_path: Path) -> Path:
    """The run to begin with."""
    return train("r", run_config(), corpus, tmp_path / "first")


def test_a_run_begins_with_the_best_weights_of_another(
    first: Path, corpus: Path, tmp_path: Path
) -> None:
    """At its first step the model is the other run's best one."""
    seen = []

    def look(stepper: Stepper) -> None:
        seen.append({name: t.clone() for name, t in stepper.model.state_dict().items()})

    with before_step(0, look):
        train("r", SHORT, corpus, tmp_path / "second", start=first)

    best, _ = read_tensors(first / "best.safetensors")
    [weights] = seen
    assert set(best) == set(weights)
    assert all(torch.equal(best[name], weights[name]) for name in best)


def test_it_reads_another_text_with_the_tokenizer_of_its_weights(
    first: Path, tmp_path: Path
) -> None:
    """A text of one's own has other words; those that the first corpus lacks are unknown."""
    own = write_corpus(tmp_path / "own", seed=4)
    text = (own / "train.txt").read_text(encoding="utf-8")
    (own / "train.txt").write_text(text.replace("cat", "axolotl"), encoding="utf-8")

    run = load_run(train("r", SHORT, own, tmp_path / "second", start=first))

    assert load_run(first).tokenizer.tokens == run.tokenizer.tokens
    assert "axolotl" not in run.tokenizer.tokens
    assert run.info.corpus_name == "own"


def test_it_goes_on_exactly_where_it_was_stopped(first: Path, corpus: Path, tmp_path: Path) -> None:
    """Stopped before or behind its first validation, it comes to the weights of a whole run."""
    whole = train("r", SHORT, corpus, tmp_path / "whole", start=first)
    for step in (1, 8):
        out = tmp_path / f"stopped at {step}"
        with before_step(step, press_ctrl_c):
            if step == 1:
                with pytest.raises(RunError, match="before the first validation"):
                    train("r", SHORT, corpus, out, start=first)
            else:
                train("r", SHORT, corpus, out, start=first)

        train("r", SHORT, corpus, out, start=first, resume=True)

        assert (whole / "last.safetensors").read_bytes() == (out / "last.safetensors").read_bytes()
    assert read_info(whole).start_sha256 is not None


def test_it_cannot_go_on_with_another_beginning(first: Path, corpus: Path, tmp_path: Path) -> None:
    """Neither without the weights it began with, nor may a run from chance be given any."""
    second = train("r", SHORT, corpus, tmp_path / "second", start=first)

    with pytest.raises(RunError, match=r"the weights of sha256 .*, not with weights"):
        train("r", SHORT, corpus, second, resume=True)
    with pytest.raises(RunError, match="began with weights by chance, not with the weights"):
        train("r", run_config(), corpus, first, resume=True, start=second)


def test_a_model_of_another_shape_is_no_beginning(
    first: Path, corpus: Path, tmp_path: Path
) -> None:
    """The difference is named, with what would mend it."""
    with pytest.raises(ConfigError, match=r"has hidden = 12, this run 13: add --set hidden=12"):
        train("r", run_config(hidden=13), corpus, tmp_path / "second", start=first)
    with pytest.raises(RunError, match="holds no run"):
        train("r", SHORT, corpus, tmp_path / "second", start=corpus)

    assert not (tmp_path / "second").exists()


def test_a_bundle_is_a_beginning_like_the_run_it_came_from(
    first: Path, corpus: Path, tmp_path: Path
) -> None:
    """With weights that were not rounded, bit for bit; no one needs the run to go on from it."""
    packed = export_run(first, tmp_path / "repository", "m", 1)

    runs = [
        train("r", SHORT, corpus, tmp_path / f"from {place.name}", start=place)
        for place in (first, packed)
    ]

    ours, theirs = ((run / "last.safetensors").read_bytes() for run in runs)
    assert ours == theirs
    assert read_info(runs[0]).start_sha256 == read_info(runs[1]).start_sha256


def test_a_broken_bundle_is_no_beginning(first: Path, corpus: Path, tmp_path: Path) -> None:
    """What is wrong with it is said before anything is written."""
    packed = export_run(first, tmp_path / "repository", "m", 1)
    (packed / "head.onnx").write_bytes(b"")

    with pytest.raises(BundleError, match=r"head\.onnx"):
        train("r", SHORT, corpus, tmp_path / "second", start=packed)

    assert not (tmp_path / "second").exists()


def test_the_command_line_says_from(say: Say, first: Path) -> None:
    """`--from RUN`, the recipe made to fit."""
    fit = ["embedding=8", "hidden=12", "vocabulary=17", "cell=gru", "batch=4", "epochs=1"]
    settings = [part for change in fit for part in ("--set", change)]

    status, said, _ = say(
        *("train", "tiny", "--data", "@corpus", "--out", "@second", "--from", "@first", *settings)
    )

    assert status == 0
    assert "best: valid perplexity" in said
