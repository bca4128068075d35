"""What a corpus looks like to the tokenizer."""

from __future__ import annotations

from pathlib import Path

from tests.unit.training.support import Say, write_corpus
from training.survey import survey
from training.texts import find_texts


def test_pieces_are_counted_as_the_tokenizer_cuts_them(tmp_path: Path) -> None:
    """Words with their space, punctuation; rare ones become unknown in a small vocabulary."""
    (tmp_path / "train.txt").write_text("a a a b b c.\n")
    (tmp_path / "valid.txt").write_text("a b d.\n")
    found = survey(find_texts(tmp_path), "natural")

    assert {" a": 3, " b": 2, " c": 1, ".": 1} == dict(found.train)
    assert 6 == found.words
    assert 0.5 == found.unknown_rate(4)
    assert 0.25 == found.unknown_rate(6)


def test_the_command_reports(say: Say, tmp_path: Path) -> None:
    """Sizes, a table of vocabularies, and words that come and that never came."""
    corpus = write_corpus(tmp_path / "corpus")
    with (corpus / "valid.txt").open("a") as file:
        file.write("a zebra sang .\n")

    status, out, _ = say("data", "report", "@corpus")

    assert 0 == status
    assert "60 lines" in out
    assert "vocabulary  unknown tokens in validation" in out
    assert "never trained on  'zebra'" in out
