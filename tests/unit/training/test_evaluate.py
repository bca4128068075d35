"""The figures of a model are those that the definitions give, worked out the slow way."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from models.text import Tokenizer
from tests.unit.training import keyboard
from tests.unit.training.support import TableScorer, fresh_model
from training.evaluate import dialogues, evaluate, perplexity
from training.graphs import head_graph, recurrent_graph
from training.model import LanguageModel
from training.scorer import OnnxScorer, TorchScorer

MIXED = """The cat's toy. the THE dog, isn't it? 42 dogs

It isn't the (cat) the cat
Dogs don't; they don't. The dogs' naïve zebra

un_der
"""
WORDS = [
    " The",
    " the",
    "the",
    " cat",
    " Cat",
    " dog",
    ".",
    " isn't",
    " THE",
    "cat",
    " they",
    " 42",
]


@pytest.fixture(scope="module")
def tiny_text(tiny_corpus: Path) -> str:
    """The validation text of the tiny corpus, 25 dialogues."""
    return (tiny_corpus / "valid.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tiny_tokenizer(tiny_corpus: Path) -> Tokenizer:
    """The tiny corpus' words but for the rarest, which stay unknown."""
    lines = (tiny_corpus / "train.txt").read_text(encoding="utf-8").splitlines()
    return Tokenizer.train(lines, 28, "natural")


@pytest.fixture(scope="module")
def tiny_model(tiny_tokenizer: Tokenizer) -> LanguageModel:
    """A model that was never trained, its likings strong."""
    model = fresh_model(cell="gru", vocabulary=len(tiny_tokenizer), hidden=12)
    with torch.no_grad():
        model.embedding.mul_(20)
    return model


def assert_as_defined(scorer, tokenizer: Tokenizer, text: str, parts: list[str]) -> None:
    """The figures of a text are those of the slow way over its dialogues."""
    figures, wanted = evaluate(scorer, tokenizer, text), keyboard.measure(scorer, tokenizer, parts)

    assert wanted.words == figures.words
    assert wanted.recall == pytest.approx({1: figures.top1, 3: figures.top3, 5: figures.top5})
    assert wanted.savings == pytest.approx(figures.keystroke_savings)


def test_recall_and_savings_are_as_defined(tiny_model, tiny_tokenizer, tiny_text) -> None:
    """On long dialogues with unknown words, top-k recall and savings are the slow way's."""
    text = "\n\n".join(tiny_text.split("\n\n")[:3])

    assert_as_defined(TorchScorer(tiny_model), tiny_tokenizer, text, text.split("\n\n"))


def test_many_dialogues_are_as_defined(tiny_model, tiny_tokenizer, tiny_text) -> None:
    """More dialogues than are read side by side, of different lengths, change nothing."""
    parts = [line[: 9 + 2 * n] for n, line in enumerate(filter(None, tiny_text.split("\n")[:46]))]

    text = "\n\n".join(parts)

    assert len(parts) > 32
    assert_as_defined(TorchScorer(tiny_model), tiny_tokenizer, text, parts)


def test_case_marks_and_glued_words_are_as_defined() -> None:
    """Words in several spellings, behind brackets and inside others are counted as defined."""
    tokenizer = Tokenizer.from_tokens(WORDS, "natural")
    model = fresh_model(vocabulary=len(tokenizer))

    assert_as_defined(TorchScorer(model), tokenizer, MIXED, MIXED.strip("\n").split("\n\n"))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_ties_are_as_defined(seed: int) -> None:
    """Among words of equal probability the one with the lower token id comes first."""
    tokenizer = Tokenizer.from_tokens(WORDS, "natural")
    size = len(tokenizer)
    likings = np.random.default_rng(seed).integers(-4, 0, (size, size)).astype(np.float32)

    assert_as_defined(TableScorer(likings), tokenizer, MIXED, MIXED.strip("\n").split("\n\n"))


def test_perplexity_is_that_of_one_long_stream(tiny_model, tiny_tokenizer, tiny_text) -> None:
    """Every token is predicted from all before it, the first one from a line break."""
    ids = tiny_tokenizer.encode(tiny_text)
    inputs = torch.tensor([tiny_tokenizer.newline_id, *ids[:-1]])[:, None]
    with torch.no_grad():
        hidden, _ = tiny_model(inputs, tiny_model.initial_state(1))
        logits = tiny_model.log_probs(hidden)[:, 0].double()
        wanted = math.exp(cross_entropy(logits, torch.tensor(ids)).item())

    figures = evaluate(TorchScorer(tiny_model), tiny_tokenizer, tiny_text)

    assert wanted == pytest.approx(figures.perplexity, rel=1e-5)
    assert len(ids) == figures.tokens
    assert len(ids) > 2 * 512
    assert ids.count(0) / len(ids) == pytest.approx(figures.unknown_rate)


def test_guessing_has_the_perplexity_of_the_vocabulary() -> None:
    """A model that holds all tokens for equally likely is as good as a die."""
    scorer = TableScorer(np.full((7, 7), -math.log(7), np.float32))

    assert perplexity(scorer, np.array([3, 1, 4, 1, 5]), 1) == pytest.approx(7)


def test_a_model_and_its_graphs_have_the_same_figures(
    tiny_model, tiny_tokenizer, tiny_text
) -> None:
    """torch and onnxruntime give the same recalls and savings, and almost the same perplexity."""
    graphs = recurrent_graph(tiny_model, "float32"), head_graph(tiny_model, "float32")

    ours = evaluate(TorchScorer(tiny_model), tiny_tokenizer, tiny_text)
    theirs = evaluate(OnnxScorer(*graphs, threads=1), tiny_tokenizer, tiny_text)

    assert ours.perplexity == pytest.approx(theirs.perplexity, rel=1e-5)
    assert (ours.top1, ours.top3, ours.top5) == (theirs.top1, theirs.top3, theirs.top5)
    assert ours.keystroke_savings == theirs.keystroke_savings


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a\nb\n", ["a\nb\n"]),
        ("a\n\nb", ["a", "b"]),
        ("a\n \t\nb", ["a", "b"]),
        ("a\n\n\nb\n\n", ["a", "b"]),
        ("a\n\n\n\nb", ["a", "b"]),
        ("\n\na", ["a"]),
        ("a\n\n...\n\nb", ["a", "b"]),
        ("", []),
    ],
)
def test_dialogues_are_parted_by_blank_lines(text: str, parts: list[str]) -> None:
    """One blank line or several part two dialogues; what has no word is none."""
    assert parts == dialogues(text)
