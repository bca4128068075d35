"""What `evaluate` measures besides the model: a baseline, a cache, size and time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.unit.training.support import Say


def evaluated(say: Say, run: Path, run_corpus: Path, *more: str) -> dict[str, object]:
    """What `evaluate --json` says."""
    status, out, err = say(
        "evaluate", str(run), "--data", str(run_corpus / "test.txt"), "--json", *more
    )
    assert 0 == status, err
    return json.loads(out)


def test_the_baseline_learns_the_same_text(say: Say, run: Path, run_corpus: Path) -> None:
    """Three sentences are no riddle to an n-gram model; its figures stand beside the model's."""
    figures = evaluated(say, run, run_corpus, "--baseline")

    assert set(figures["baseline"]) < set(figures)
    assert figures["baseline"]["tokens"] == figures["tokens"]
    assert figures["baseline"]["perplexity"] < 2


def test_a_cache_is_tuned_and_mixed_in(say: Say, run: Path, run_corpus: Path) -> None:
    """With its size, its weights and the perplexity it leads to."""
    cache = evaluated(say, run, run_corpus, "--cache", "30")["cache"]

    assert 30 == cache["size"]
    assert 0 < cache["share"] < 1
    assert 1 < cache["perplexity"] < 17


def test_size_and_time_are_measured(say: Say, run: Path, run_corpus: Path) -> None:
    """The checkpoint's bytes; microseconds a word."""
    figures = evaluated(say, run, run_corpus)

    assert (run / "best.safetensors").stat().st_size == figures["size_bytes"]
    assert figures["us_per_word"] > 0
    assert "baseline" not in figures


def test_perplexity_a_word_counts_what_white_space_parts(
    say: Say, run: Path, run_corpus: Path
) -> None:
    """The same nats, over fewer words than tokens."""
    figures = evaluated(say, run, run_corpus)
    words = len((run_corpus / "test.txt").read_text().split())
    nats = math.log(figures["perplexity"]) * figures["tokens"]

    assert figures["word_perplexity"] == pytest.approx(math.exp(nats / words))


def test_the_table_says_it_all(say: Say, run: Path, run_corpus: Path) -> None:
    """For a person, without --json."""
    test = str(run_corpus / "test.txt")
    _, out, _ = say("evaluate", str(run), "--data", test, "--baseline", "--cache", "9")

    for told in ("perplexity", "a word", "size", "time a word", "9 words, theta", "Kneser-Ney"):
        assert told in out


@pytest.mark.parametrize(("option", "name"), [("--baseline", "train"), ("--cache=5", "valid")])
def test_a_missing_neighbour_is_named(
    say: Say, run: Path, run_corpus: Path, tmp_path: Path, option: str, name: str
) -> None:
    """The texts that a baseline and a cache learn from lie beside the one that is measured."""
    (tmp_path / "test.txt").write_bytes((run_corpus / "test.txt").read_bytes())
    status, _, err = say("evaluate", str(run), "--data", str(tmp_path / "test.txt"), option)

    assert 2 == status
    assert f"there is no {name}.txt beside" in err
