"""The study of cells as language models: equal sizes, fair rates, honest rankings."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.support import write_corpus
from training.config import CELLS
from training.errors import CorpusError
from training.model import LanguageModel
from training.studies import agreement
from training.studies.contest import (
    Rules,
    Trial,
    _sweep,
    _try,
    count_weights,
    enter,
    matched_hidden,
    perplexity,
)
from training.studies.contest_text import Text
from training.studies.contest_text import read_text as read_parts
from training.studies.language import ON_A_CORPUS, ON_ITS_OWN
from training.studies.ranking import rank
from training.studies.study import Options, find_study, run_study

SMALL = Rules(
    tokens=200,
    held_out=40,
    vocabulary=17,
    embedding=4,
    hidden=6,
    rates=(1e-2,),
    seeds=2,
    batch=4,
    bptt=5,
)
SENTENCE = re.compile(
    r"(?:these (?P<many>[a-z]+)noun\d+s|this (?P<one>[a-z]+)noun\d+)"
    r"(?: (?:quite quality\d+|near the place\d+s?)){1,9} "
    r"verb\d+(?P<singular>s?) by the (?P<closing>[a-z]+) \."
)


def read_text(place: Path, rules: Rules) -> Text:
    """A corpus as the rules have it."""
    return read_parts(place, rules.vocabulary, rules.tokens, rules.held_out)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rules", [ON_A_CORPUS, ON_ITS_OWN], ids=["corpus", "own"])
def test_every_cell_has_as_many_weights_as_the_lstm(cell: str, rules: Rules) -> None:
    """Within 1 %, and one unit more or less would be farther off."""
    hidden = matched_hidden(rules, cell, rules.vocabulary)
    target = count_weights(rules.config("lstm", rules.hidden, rules.vocabulary))
    off = [
        abs(count_weights(rules.config(cell, width, rules.vocabulary)) / target - 1)
        for width in (hidden - 1, hidden, hidden + 1)
    ]

    assert off[1] < 0.01
    assert off[1] == min(off)


def test_the_lstm_is_its_own_measure() -> None:
    """It keeps the width that the rules give it."""
    assert ON_A_CORPUS.hidden == matched_hidden(ON_A_CORPUS, "lstm", 5_000)


def test_weights_are_counted_as_a_real_model_has_them() -> None:
    """Counting without making them comes to the same."""
    config = SMALL.config("peephole_lstm", 7, 17)

    assert LanguageModel(config).parameter_count() == count_weights(config)


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (1e-2, [3e-3, 1e-2, 3e-2]),
        (3e-2, [3e-3, 1e-2, 3e-2, 1e-1]),
        (1e-1, [3e-3, 1e-2, 3e-2, 1e-1]),
        (1e-3, [1e-3, 3e-3, 1e-2, 3e-2]),
    ],
)
def test_the_search_ends_with_the_best_between_its_neighbours(
    best: float, tried: list[float]
) -> None:
    """It starts in the middle and goes on while it gets better, up to the edges."""

    def attempt(rate: float) -> Trial:
        loss = abs(math.log(rate / best))
        return Trial(rate, seed=1, valid_loss=loss, test_loss=loss, tokens_per_s=1.0)

    assert tried == [trial.rate for trial in _sweep((1e-3, 3e-3, 1e-2, 3e-2, 1e-1), attempt)]


def test_one_rate_needs_no_search() -> None:
    """It is tried once."""
    trials = _sweep((0.5,), lambda rate: Trial(rate, 1, 2.0, 2.0, 1.0))

    assert [0.5] == [trial.rate for trial in trials]


def test_a_cell_enters_with_its_best_rate_and_all_seeds(corpus: Path) -> None:
    """The trial of the search at that rate counts as the first seed's."""
    entry = enter("gru", read_text(corpus, SMALL), replace(SMALL, rates=(1e-5, 1e-2, 1e-4)))

    assert [1, 2] == [trial.seed for trial in entry.trials]
    assert {1e-2} == {trial.rate for trial in entry.trials}
    assert entry.sweep[1] == entry.trials[0]
    assert [perplexity(loss) for loss in entry.losses] == entry.perplexities
    assert len({*entry.losses}) == 2
    assert all(1 < value < 17 for value in entry.perplexities)


def test_the_same_seed_gives_the_same_net(corpus: Path) -> None:
    """To the bit, apart from its speed."""
    text, config = read_text(corpus, SMALL), SMALL.config("lstm", 6, 17)
    one, same = (_try(config, text, 1, 1e-2, seed=3) for _ in range(2))

    assert (one.valid_loss, one.test_loss) == (same.valid_loss, same.test_loss)


def test_training_teaches(corpus: Path) -> None:
    """More passes over the text give a lower loss."""
    text, config = read_text(corpus, SMALL), SMALL.config("gru", 6, 17)
    once, often = (_try(config, text, passes, 5e-2, seed=1) for passes in (1, 10))

    assert often.test_loss < once.test_loss - 0.3


def test_a_net_that_does_worse_than_guessing_has_diverged(corpus: Path) -> None:
    """At an absurd rate the loss is infinite, be it that of validation or of training."""
    text, config = read_text(corpus, SMALL), SMALL.config("rnn_relu", 6, 17)
    trial = _try(config, text, 2, 1e6, seed=1)

    assert (math.inf, math.inf) == (trial.valid_loss, trial.test_loss)


def test_a_perplexity_beyond_floats_is_infinite() -> None:
    """There is no error, even at a loss of a thousand nats."""
    assert [math.e, math.inf, math.inf] == [perplexity(loss) for loss in (1.0, 1000.0, math.inf)]


def test_a_text_is_capped(corpus: Path) -> None:
    """Training and held-out tokens stop at the rules' numbers."""
    text = read_text(corpus, SMALL)
    whole = read_text(corpus, replace(SMALL, tokens=9_999, held_out=9_999))

    assert (200, 40, 40) == (len(text.train), len(text.valid), len(text.test))
    assert np.array_equal(whole.train[:200], text.train)
    assert np.array_equal(whole.test[:40], text.test)


def test_the_vocabulary_is_what_the_text_can_fill(corpus: Path) -> None:
    """A small text has a small one; a large one is cut, and what is left out counts as unknown."""
    all_of_it = read_text(corpus, replace(SMALL, vocabulary=5_000))
    some = read_text(corpus, replace(SMALL, vocabulary=5))

    assert (17, 0.0) == (all_of_it.vocabulary, all_of_it.unknown)
    assert 5 == some.vocabulary
    assert float((some.test == 0).mean()) == some.unknown > 0.3


def test_a_text_with_unk_in_it_is_pretokenised(corpus: Path) -> None:
    """As WikiText-2 is; `<unk>` must stand alone, and one is enough."""
    assert "natural" == read_text(corpus, SMALL).mode
    train = corpus / "train.txt"
    train.write_text(train.read_text() + "no tag<unk>here\n")
    assert "natural" == read_text(corpus, SMALL).mode
    train.write_text(train.read_text() + "the <unk> sat .\n")
    assert "pretokenised" == read_text(corpus, SMALL).mode


def test_without_a_test_text_the_validation_text_counts(corpus: Path) -> None:
    """Both losses are then the same."""
    (corpus / "test.txt").unlink()
    text = read_text(corpus, SMALL)
    trial = _try(SMALL.config("gru", 6, 17), text, 1, 1e-2, seed=1)

    assert text.test is None
    assert trial.valid_loss == trial.test_loss


def test_a_bad_corpus_is_said_to_be_one(corpus: Path) -> None:
    """The error is the corpus's own."""
    (corpus / "train.txt").unlink()

    with pytest.raises(CorpusError, match=r"there is no train\.txt in"):
        run_study(find_study("language"), Options(quick=True, data=corpus), None)


def test_a_corpus_too_small_for_its_streams_is_said_to_be_so(tmp_path: Path) -> None:
    """Ten streams need twenty tokens."""
    folder = write_corpus(tmp_path / "small", lines=2)

    with pytest.raises(CorpusError, match="too few for 10 streams"):
        run_study(find_study("language"), Options(quick=True, data=folder), None)


def test_sentences_agree_with_their_beginning(tmp_path: Path) -> None:
    """The verb with the number, the closing word with the topic; both of both kinds."""
    agreement.write_corpus(tmp_path, sentences=200, seed=5)
    lines = (tmp_path / "train.txt").read_text().splitlines()
    found = [SENTENCE.fullmatch(line) for line in lines]

    assert 200 == len(lines)
    assert all((m["many"] or m["one"]) == m["closing"] for m in found)
    assert all(("" if m["many"] else "s") == m["singular"] for m in found)
    assert {"", "s"} == {m["singular"] for m in found}
    assert 6 == len({m["closing"] for m in found})


def test_a_made_up_corpus_is_its_seeds(tmp_path: Path) -> None:
    """The same seed writes the same text, another one another; the three texts differ."""
    texts = {}
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        agreement.write_corpus(tmp_path / name, sentences=50, seed=seed)
        texts[name] = [(tmp_path / name / f"{s}.txt").read_text() for s in ("train", "valid")]

    assert texts["one"] == texts["same"]
    assert texts["one"][0] != texts["other"][0]
    assert not texts["one"][0].startswith(texts["one"][1])


def test_places_leave_open_what_chance_leaves_open() -> None:
    """With a pooled variance of 0.027 and two results each, differences below 0.327 are chance."""
    ranking = rank({"c": [1.3, 1.1], "a": [0.9, 1.1], "b": [1.4, 1.4 + 0.2 * math.sqrt(2)]})

    assert 2 * math.sqrt(0.08 / 3) == pytest.approx(ranking.margin)
    assert ["a", "c", "b"] == list(ranking.means)
    assert [(1, 2), (1, 2), (3, 3)] == [ranking.places(name) for name in ranking.means]
    assert ranking.differ("a", "b")
    assert not ranking.differ("c", "a")


def test_what_diverged_comes_last() -> None:
    """It does not widen the margin of the others."""
    ranking = rank({"wild": [1.0, math.inf], "a": [2.0, 2.1], "b": [3.0, 3.1]})

    assert {"a": (1, 1), "b": (2, 2), "wild": (3, 3)} == {
        n: ranking.places(n) for n in ("a", "b", "wild")
    }
    assert 2 * math.sqrt(0.005) == pytest.approx(ranking.margin)


def test_a_single_result_decides_nothing() -> None:
    """Every place is open, the order still that of the results."""
    ranking = rank({"b": [2.0], "a": [1.0]})

    assert ["a", "b"] == list(ranking.means)
    assert [(1, 2), (1, 2)] == [ranking.places(name) for name in "ab"]


@pytest.mark.parametrize(
    ("given", "name"), [(False, "a corpus that the study makes"), (True, "Corpus: corpus,")]
)
def test_a_quick_run_writes_table_figure_and_report(
    corpus: Path,
    tmp_path: Path,
    given: bool,  # noqa: FBT001 - a parameter of the test's table
    name: str,
) -> None:
    """A row a cell, on the study's own corpus as on a given one."""
    options = Options(quick=True, data=corpus if given else None, seeds=1)
    report = run_study(find_study("language"), options, tmp_path / "out")

    with (tmp_path / "out" / "language.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert set(CELLS) == {row["cell"] for row in rows}
    perplexities = [float(row["perplexity"]) for row in rows]
    assert sorted(perplexities) == perplexities
    assert {f"1 to {len(CELLS)}"} == {row["place"] for row in rows}
    assert name in report
    assert (tmp_path / "out" / "language.png").read_bytes().startswith(b"\x89PNG")
    assert report == (tmp_path / "out" / "language.md").read_text(encoding="utf-8")
