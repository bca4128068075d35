r"""The vocabulary of a Keras model: which line of a text file is the word of which row.

The file is UTF-8, one word a line. Two kinds are told apart by how many lines there are for the V
rows of the embedding:

- V lines: line i is the word of row i. `<unk>`, `[UNK]`, `<UNK>`, `<oov>` or `<OOV>` is the unknown
  token; `<eos>`, `</s>`, `\n` (a backslash and an n) or `<newline>` is the line break. Both move to
  the front, where nextword has them; one that is absent gets a row of its own. An empty line,
  `<pad>` or `[PAD]` is padding, and stays as the word `<pad>`, for what it takes of the
  probabilities: Keras' TextVectorization begins with an empty line and `[UNK]`.
- V - 2 lines: rows 0 and 1 are the unknown token and the line break, as in nextword's own bundles.

Must not know: weights, tokenizer files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from models.words import CONTROL_TOKENS, NEWLINE, UNKNOWN
from training.errors import WeightsError

PADDING = "<pad>"
_SPELLINGS = {
    UNKNOWN: ("<unk>", "[UNK]", "<UNK>", "<oov>", "<OOV>"),
    NEWLINE: ("<eos>", "</s>", "\\n", "<newline>"),
    PADDING: ("", "<pad>", "[PAD]"),
}
_TOKENS = {spelling: token for token, spellings in _SPELLINGS.items() for spelling in spellings}
_MEANINGS = {UNKNOWN: "the unknown token", NEWLINE: "the line break", PADDING: "padding"}


class Vocabulary(NamedTuple):
    """The words behind the control tokens, and where the weights of every token lie."""

    words: tuple[str, ...]
    rows: tuple[int | None, ...]
    """Of the control tokens and then the words; None where the model has no row."""


def read_vocabulary(path: Path, rows: int) -> Vocabulary:
    """Read the words of an embedding of so many rows; WeightsError names the line at fault."""
    lines = _read_lines(path)
    if len(lines) not in (rows, rows - len(CONTROL_TOKENS)):
        raise WeightsError(
            f"{path.name} has {len(lines)} lines, embedding {rows} rows: there must be a line for "
            f"each row, or {rows - len(CONTROL_TOKENS)} if the first two rows are <unk> and the "
            "line break"
        )
    begin = CONTROL_TOKENS if len(lines) < rows else ()
    row_of = {token: row for row, token in enumerate(begin)}
    for number, line in enumerate(lines, start=1):
        token = _TOKENS.get(line, line)
        _check_word(f"line {number} of {path.name}", token, line)
        if token in row_of:
            raise WeightsError(_twice(path.name, number, line, row_of[token] - len(begin)))
        row_of[token] = len(row_of)
    words = tuple(token for token in row_of if token not in CONTROL_TOKENS)
    if not words:
        raise WeightsError(f"{path.name} holds no word besides <unk> and the line break")
    return Vocabulary(words, tuple(map(row_of.get, (*CONTROL_TOKENS, *words))))


def _read_lines(path: Path) -> Sequence[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise WeightsError(f"line {line} of {path.name} is not UTF-8") from error
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _check_word(place: str, token: str, line: str) -> None:
    if "\0" in line:
        raise WeightsError(f"{place}: {line!r} holds a NUL character")
    if token not in CONTROL_TOKENS and token.split() != [token]:
        raise WeightsError(f"{place}: {line!r} holds white space")


def _twice(file: str, number: int, line: str, first: int) -> str:
    """What is wrong with a line whose token stood before, on the line of that index."""
    place, meaning = f"line {number} of {file}", _MEANINGS.get(_TOKENS.get(line, line))
    if first < 0:
        return (
            f"{place}: {line!r} is {meaning}, and so is row {first + len(CONTROL_TOKENS)}, as "
            f"{file} has {len(CONTROL_TOKENS)} lines less than embedding has rows"
        )
    if meaning is not None:
        return f"{place}: {line!r} is {meaning}, and so is line {first + 1}"
    return f"{place}: {line!r} stands on line {first + 1} already"
