"""Every fault in a Keras model's list of words is told with its line, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.keras_files import assert_refused, keras_arrays

LINES: dict[str, tuple[bytes, str]] = {
    "too few": (
        b"a\nb\n",
        "words.txt has 2 lines, embedding 8 rows: there must be a line for each ",
    ),
    "too many": (b"a\n" * 9, "words.txt has 9 lines, embedding 8 rows"),
    "one fewer": (b"a\n" * 7, "words.txt has 7 lines, embedding 8 rows"),
    "none": (b"", "words.txt has 0 lines, embedding 8 rows"),
    "twice": (b"a\nb\nc\nb\ne\nf\n", "line 4 of words.txt: 'b' stands on line 2 already"),
    "twice, a line a row": (
        b"a\nb\nc\nd\ne\nf\ng\na\n",
        "line 8 of words.txt: 'a' stands on line 1 already",
    ),
    "two unknown tokens": (
        b"<unk>\nb\nc\nd\n[UNK]\nf\ng\nh\n",
        "line 5 of words.txt: '[UNK]' is the unknown token, and so is line 1",
    ),
    "two line breaks": (
        b"a\n</s>\nc\nd\ne\nf\ng\n\\n\n",
        r"line 8 of words.txt: '\\n' is the line break, and so is line 2",
    ),
    "two paddings": (
        b"\n[UNK]\nc\nd\ne\nf\n<pad>\nh\n",
        "line 7 of words.txt: '<pad>' is padding, and so is line 1",
    ),
    "an unknown token where row 0 is it": (
        b"a\nb\n<unk>\nd\ne\nf\n",
        (
            "line 3 of words.txt: '<unk>' is the unknown token, and so is row 0, as words.txt has "
            "2 lines less than embedding has rows"
        ),
    ),
    "a line break where row 1 is it": (
        b"a\nb\nc\nd\ne\n<eos>\n",
        "line 6 of words.txt: '<eos>' is the line break, and so is row 1",
    ),
    "white space inside": (
        b"a\nNew York\nc\nd\ne\nf\n",
        "line 2 of words.txt: 'New York' holds white space",
    ),
    "white space around": (b"a\nb\nc \nd\ne\nf\n", "line 3 of words.txt: 'c ' holds white space"),
    "a blank": (b"a\nb\nc\n \ne\nf\n", "line 4 of words.txt: ' ' holds white space"),
    "a NUL": (b"a\nb\nc\nd\ne\0\nf\n", r"line 5 of words.txt: 'e\x00' holds a NUL"),
    "not UTF-8": (b"a\nb\ncaf\xe9\nd\ne\nf\n", "line 3 of words.txt is not UTF-8"),
}


@pytest.mark.parametrize("case", LINES)
def test_words_that_make_no_vocabulary_are_refused(case: str, tmp_path: Path) -> None:
    """Each fault is told with the line it is on."""
    content, words = LINES[case]
    np.savez(tmp_path / "weights.npz", **keras_arrays())
    (tmp_path / "words.txt").write_bytes(content)

    assert_refused(tmp_path, words)


@pytest.mark.parametrize("content", [b"", b"<unk>\n<eos>\n"])
def test_a_vocabulary_needs_a_word(content: bytes, tmp_path: Path) -> None:
    """A model of control tokens alone has nothing to suggest."""
    np.savez(tmp_path / "weights.npz", **keras_arrays(rows=2))
    (tmp_path / "words.txt").write_bytes(content)

    assert_refused(tmp_path, "words.txt holds no word besides <unk> and the line break")
