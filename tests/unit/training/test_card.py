"""The model card: figures beside a baseline's, and what a person adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import bundle
from models.bundle import Bundle
from models.manifest import Provenance
from tests.unit.training.exporting import export
from tests.unit.training.support import Say, fresh_model
from training.card import Told, model_card
from training.errors import CorpusError
from training.evaluate import evaluate
from training.export import describe
from training.kneser_ney import KneserNey
from training.scorer import OnnxScorer

NOTES = "Two cells, *naïvely* compared.\n\n| cell | perplexity |\n|---|---|\n| gru | 3 |\n"


def card(told: Told, **metrics: float) -> str:
    """The card of a small model with these metrics."""
    origin = Provenance(
        recipe="r", corpus="c", corpus_sha256="", steps=0, metrics=metrics, licence="Mine."
    )
    return model_card(describe(fresh_model(), "m", 1, origin), told)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next."""
    return text.split(f"\n## {heading}\n\n")[1].split("\n## ", maxsplit=1)[0]


@pytest.fixture
def written(say: Say, run: Path, run_corpus: Path, tmp_path: Path) -> Bundle:
    """The run, exported with everything that can be told."""
    (tmp_path / "notes.md").write_text(NOTES, encoding="utf-8")
    status, _, err = say(
        *("export", str(run), "--name", "m", "--to", "@repository", "--weights", "int8"),
        *("--test", str(run_corpus / "test.txt"), "--baseline", "--notes", "@notes.md"),
    )
    assert (0, "") == (status, err)
    return bundle.load(tmp_path / "repository" / "m" / "1")


def test_the_baseline_is_measured_on_the_same_text(written: Bundle, run_corpus: Path) -> None:
    """Its figures stand among the metrics, each beside the model's."""
    metrics = written.manifest.provenance.metrics
    text, learnt = ((run_corpus / f"{part}.txt").read_text() for part in ("test", "train"))
    ids = np.array(written.tokenizer.encode(learnt))
    baseline = evaluate(KneserNey(ids, len(written.tokenizer)), written.tokenizer, text)
    model = evaluate(OnnxScorer(*written.graphs(), threads=1), written.tokenizer, text)

    for name in ("perplexity", "top1", "top3", "keystroke_savings", "words"):
        assert metrics[f"baseline_{name}"] == pytest.approx(getattr(baseline, name), abs=1e-4)
        assert metrics[f"test_{name}"] == pytest.approx(getattr(model, name), abs=1e-4)


def test_size_and_time_are_told(written: Bundle) -> None:
    """Bytes on disk of the graphs; microseconds a word."""
    metrics = written.manifest.provenance.metrics

    assert written.size_bytes() == metrics["size_bytes"]
    assert metrics["us_per_word"] > 0


def test_the_card_shows_both_side_by_side(written: Bundle) -> None:
    """One row a figure, a column for the model and one for the baseline."""
    metrics = written.manifest.provenance.metrics
    figures = section(written.files["README.md"].decode(), "Figures")

    for told in (
        "| on the test text | this model | interpolated Kneser-Ney 4-gram |\n| --- | --- | --- |\n",
        f"| test_top1 | {metrics['test_top1']} | {metrics['baseline_top1']} |\n",
        f"| size_bytes | {written.size_bytes()} |  |\n",
        f"| test_perplexity_unrounded | {metrics['test_perplexity_unrounded']} |  |\n",
    ):
        assert told in figures


@pytest.mark.parametrize(
    ("options", "when"),
    [([], "where they ask for it"), (["--cache-by-default"], "unless they decline it")],
)
def test_a_cache_is_tuned_and_named(
    say: Say, run: Path, run_corpus: Path, tmp_path: Path, options: list[str], when: str
) -> None:
    """Size and weights stand in the manifest and in the card, its perplexity among the metrics."""
    status, _, err = say(
        *("export", str(run), "--name", "m", "--to", "@repository"),
        *("--test", str(run_corpus / "test.txt"), "--cache", "20", *options),
    )
    assert (0, "") == (status, err)
    written = bundle.load(tmp_path / "repository" / "m" / "1")
    cache = written.manifest.cache
    assert cache is not None
    assert (20, bool(options)) == (cache.size, cache.by_default)
    card = written.files["README.md"].decode()
    assert when in card
    assert f"20 words, theta {cache.theta}, share {cache.share}" in card
    assert written.manifest.provenance.metrics["test_perplexity_with_cache"] > 1


def test_notes_are_a_section(written: Bundle) -> None:
    """Markdown comes through as it is."""
    assert section(written.files["README.md"].decode(), "What was compared").strip() == (
        NOTES.strip()
    )


def test_figures_without_a_baseline_have_one_column() -> None:
    """What was not measured has no column, and other metrics stay where they were."""
    text = card(Told("float32", 1e-6), valid_perplexity=2.5, test_top1=0.25, us_per_word=7.0)

    wanted = "| on the test text | this model |\n| --- | --- |\n"
    assert wanted + "| test_top1 | 0.25 |\n| us_per_word | 7.0 |\n" == section(text, "Figures")
    assert "| steps | 0 |\n| valid_perplexity | 2.5 |\n\n" in text


def test_what_is_not_known_is_not_told() -> None:
    """Without a test text, notes or rounding there is no word of them."""
    text = card(Told("float32", 1e-6))

    for word in ("Figures", "compared", "round", "```"):
        assert word not in text
    assert "agree with the trained model to 1.0e-06 over several" in text


def test_the_licence_comes_last() -> None:
    """Behind notes, with its text quoted."""
    text = card(Told("float16", 1e-6, rounding=0.01, notes="N\n", licence_text="Free.\n"))

    assert text.endswith("\n## What was compared\n\nN\n\n## Licence\n\nMine.\n\n```\nFree.\n```\n")
    assert "The rounding itself changed them by at most 1.0e-02" in text


def test_a_missing_text_writes_nothing(corpus: Path, tmp_path: Path) -> None:
    """Also where the command line is not asked."""
    (tmp_path / "alone.txt").write_text("w1\n")

    with pytest.raises(CorpusError, match=r"no train\.txt beside"):
        export(fresh_model(), tmp_path / "to", test=tmp_path / "alone.txt", baseline=True)

    assert not (tmp_path / "to").exists()
