"""Beginnings of documents beside the streams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.support import before_step, press_ctrl_c, run_config, write_corpus
from training import openings
from training.checkpoint import read_tensors
from training.corpus import Windows
from training.distributed import Ranks
from training.errors import ConfigError, CorpusError
from training.loop import Stepper
from training.model import LanguageModel
from training.openings import find_openings
from training.train import train

NEWLINE = 1
IDS = np.array([5, 6, 1, 1, 7, 8, 1, 9, 1, 1, 1, 4, 3, 2, 8, 1, 1, 6, 7, 8, 9, 2], np.int32)
"""Three documents behind the first, which begin with 7, 4 and 6."""


@pytest.fixture
def parted_corpus(tmp_path: Path) -> Path:
    """Sentences, five a document."""
    corpus = write_corpus(tmp_path / "corpus")
    lines = (corpus / "train.txt").read_text(encoding="utf-8").splitlines()
    parts = ["\n".join(lines[at : at + 5]) for at in range(0, len(lines), 5)]
    (corpus / "train.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return corpus


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_documents_begin_behind_blank_lines(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Wherever the blocks that are looked through have their seams."""
    monkeypatch.setattr(openings, "_AT_ONCE", at_once)
    found = find_openings(IDS, NEWLINE, count=1, seed=1)

    assert [4, 11, 17] == found.starts.tolist()


def test_a_window_holds_beginnings_one_token_ahead() -> None:
    """With the line break before them or without; all of them come in time."""
    found = find_openings(IDS, NEWLINE, count=5, seed=1)

    drawn = [found.window(step, 3) for step in range(40)]

    assert all((3, 5) == ids.shape == targets.shape for ids, targets in drawn)
    assert all(torch.equal(ids[1:], targets[:-1]) for ids, targets in drawn)
    begun = {tuple(column) for ids, _ in drawn for column in ids[:2].t().tolist()}
    assert {(7, 8), (1, 7), (4, 3), (1, 4), (6, 7), (1, 6)} == begun


def test_the_same_step_draws_the_same_beginnings() -> None:
    """So that a resumed run sees what it would have seen; another step or seed sees others."""
    one, other = (find_openings(IDS, NEWLINE, count=30, seed=seed) for seed in (1, 2))

    assert torch.equal(one.window(3, 4)[0], one.window(3, 4)[0])
    assert not torch.equal(one.window(3, 4)[0], one.window(4, 4)[0])
    assert not torch.equal(one.window(3, 4)[0], other.window(3, 4)[0])


def test_processes_share_the_beginnings() -> None:
    """Put together, theirs are those of one."""
    slices = [slice(None), *(Ranks(rank, 2).share(6, "openings") for rank in range(2))]
    whole, first, second = (
        find_openings(IDS, NEWLINE, 6, 1, own).window(0, 4)[0] for own in slices
    )

    assert torch.equal(whole, torch.cat([first, second], 1))
    with pytest.raises(ConfigError, match="openings = 5 does not divide by 2"):
        Ranks(0, 2).share(5, "openings")


def test_they_stand_behind_the_streams() -> None:
    """A window is what it would be without them, and then they."""
    ids_NB = torch.from_numpy(IDS).view(2, 11).t()
    found = find_openings(IDS, NEWLINE, count=3, seed=1)

    for step in range(4):
        plain = Windows(ids_NB, 6).window(step)
        both = Windows(ids_NB, 6, openings=found).window(step)
        beside = found.window(step, len(plain[0]))
        for wanted, more, got in zip(plain, beside, both, strict=True):
            assert torch.equal(torch.cat([wanted, more], 1), got)


def test_they_are_read_from_nothing_and_not_carried_on() -> None:
    """The streams' states are what they would be alone."""
    config = run_config(batch=2, optimizer="sgd", learning_rate=1e-9, vocabulary=10)
    model = LanguageModel(config)
    ids_TB = torch.from_numpy(IDS).view(2, 11).t()[:5].long()
    learner = Stepper(model, config, total_steps=9)
    learner.step(0, torch.cat([ids_TB, ids_TB], 1), torch.cat([ids_TB, ids_TB], 1))

    _, expected = model(ids_TB, model.initial_state(2))

    for ours, theirs in zip(learner.state, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)


def test_a_run_with_them_goes_on_exactly(parted_corpus: Path, tmp_path: Path) -> None:
    """Stopped between two validations, it comes to the weights of a run without a stop."""
    config = run_config(openings=3, vary_bptt=True, forget=0.2)
    whole = train("r", config, parted_corpus, tmp_path / "whole")
    with before_step(13, press_ctrl_c):
        train("r", config, parted_corpus, tmp_path / "parts")

    train("r", config, parted_corpus, tmp_path / "parts", resume=True)

    (tensors, metadata), (others, other_metadata) = (
        read_tensors(run / "last.safetensors") for run in (whole, tmp_path / "parts")
    )
    assert metadata == other_metadata
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())


def test_a_text_of_one_document_has_no_beginnings(corpus: Path, tmp_path: Path) -> None:
    """The refusal says which key asks for them."""
    with pytest.raises(CorpusError, match=r"no blank line.*openings=0"):
        train("r", run_config(openings=2), corpus, tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()
