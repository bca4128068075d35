"""Reading a corpus folder: token ids where all is well, a sentence where it is not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from training.corpus import encode_stream, load_corpus, side_by_side
from training.errors import CorpusError
from training.texts import read_lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus of two short texts."""
    folder = tmp_path / "chats"
    folder.mkdir()
    (folder / "train.txt").write_text("How are you?\n\nFine.\n", encoding="utf-8")
    (folder / "valid.txt").write_text("Are you fine\n", encoding="utf-8")
    return folder


def test_a_corpus_is_its_texts_as_ids(folder: Path) -> None:
    """Both texts come back from their ids, a line break behind each line."""
    corpus = load_corpus(folder, "natural", 8)

    assert "How are you?\n\nFine.\n" == corpus.tokenizer.decode(corpus.train.tolist())
    assert np.int32 == corpus.train.dtype


def test_a_corpus_knows_what_it_is(folder: Path) -> None:
    """It carries the folder's name and the sha256 of its training text."""
    corpus = load_corpus(folder, "natural", 5)

    assert "chats" == corpus.name
    assert hashlib.sha256(b"How are you?\n\nFine.\n").hexdigest() == corpus.sha256
    assert "chats" == load_corpus(folder / ".." / "chats" / ".", "natural", 5).name


def test_words_come_from_the_training_text_only(folder: Path) -> None:
    """A word that only the validation text has is unknown."""
    (folder / "valid.txt").write_text("Fine zebra\n", encoding="utf-8")
    corpus = load_corpus(folder, "natural", 8)

    assert [False, True, False] == (corpus.valid == 0).tolist()


def test_a_missing_training_text_is_named(folder: Path) -> None:
    """Beside a valid.txt there must be a train.txt: no other text is taken for it."""
    (folder / "train.txt").unlink()

    with pytest.raises(CorpusError, match=r"there is no train\.txt in .*chats"):
        load_corpus(folder, "natural", 5)


def test_a_missing_place_is_named(tmp_path: Path) -> None:
    """A path where nothing is, is refused."""
    with pytest.raises(CorpusError, match=r"there is no folder or file .*missing"):
        load_corpus(tmp_path / "missing", "natural", 5)


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_an_empty_text_is_refused(folder: Path, text: str) -> None:
    """A text of nothing but blanks is refused."""
    (folder / "train.txt").write_text(text, encoding="utf-8")

    with pytest.raises(CorpusError, match=r"train\.txt is empty"):
        load_corpus(folder, "natural", 5)


def test_a_line_that_is_not_utf8_is_named(folder: Path) -> None:
    """Bytes of another encoding are refused with the number of their line."""
    (folder / "train.txt").write_bytes("één\ntwo\n".encode() + b"caf\xe9\nfour\n")

    with pytest.raises(CorpusError, match=r"train\.txt: line 3 is not UTF-8"):
        load_corpus(folder, "natural", 5)


def test_a_line_with_a_nul_is_named(folder: Path) -> None:
    """A NUL is refused with the number of its line."""
    (folder / "valid.txt").write_bytes(b"one\ntwo \0\n")

    with pytest.raises(CorpusError, match=r"valid\.txt: line 2 has a NUL"):
        load_corpus(folder, "natural", 5)


def test_a_vocabulary_that_the_text_cannot_fill_is_refused(folder: Path) -> None:
    """More tokens than the training text has are refused with how many there are."""
    with pytest.raises(CorpusError, match=r"chats: a vocabulary of 9 .* one of 3 to 8"):
        load_corpus(folder, "natural", 9)


def test_a_folder_in_a_texts_place_is_refused(tmp_path: Path) -> None:
    """What cannot be opened is refused with its path."""
    with pytest.raises(CorpusError, match="Is a directory"):
        read_lines(tmp_path)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\n\n\nb\n\n", ["a", "", "", "b", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b" a \n", [" a "]),
        ("a\u2028b\x0c\n".encode(), ["a\u2028b\x0c"]),
    ],
)
def test_lines_end_at_line_breaks_only(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    """A text is cut at its line breaks, Windows' too, and nowhere else."""
    (tmp_path / "text").write_bytes(content)

    assert lines == read_lines(tmp_path / "text")


def test_a_byte_order_mark_is_no_word(tmp_path: Path) -> None:
    """The mark that some editors put before a text is not part of its first line."""
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfHow\n")

    assert ["How"] == read_lines(tmp_path / "text")


def test_a_stream_has_a_line_break_behind_each_line(folder: Path) -> None:
    """The ids of lines in a row, an empty line being one line break."""
    tokenizer = load_corpus(folder, "natural", 8).tokenizer

    stream = encode_stream(tokenizer, ["How", "", "are"])

    assert "How\n\nare\n" == tokenizer.decode(stream.tolist())


def test_streams_are_cut_from_the_text_in_order() -> None:
    """Stream b holds the b-th part of the text from top to bottom, the odd end dropped."""
    ids_NB = side_by_side(np.arange(11, dtype=np.int32), 3)

    assert [[0, 3, 6], [1, 4, 7], [2, 5, 8]] == ids_NB.tolist()


def test_too_little_text_for_the_streams_is_refused() -> None:
    """Streams need two tokens each, one to read and one to predict."""
    assert (2, 3) == tuple(side_by_side(np.arange(6, dtype=np.int32), 3).shape)

    with pytest.raises(CorpusError, match="the text has 5 tokens, too few for 3 streams"):
        side_by_side(np.arange(5, dtype=np.int32), 3)
