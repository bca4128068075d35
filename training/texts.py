"""Where the lines of a corpus come from: a folder, a file, or records, split if need be.

- A folder with `train.txt`; `valid.txt` if there is one.
- A folder of other UTF-8 `.txt` files, read in the order of their paths, a blank line between them.
- One UTF-8 file.
- One `.jsonl` file, or a folder of them, whose records hold text under a named field.

Where there is no `valid.txt`, one in twenty documents is set apart for validation. Documents are
parted by blank lines, by files and by records, and cut after two hundred lines.
Must not know: tokens, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from training.errors import CorpusError

_VALID_ONE_IN = 20
_LONGEST_DOCUMENT = 200

Lines = Callable[[], Iterator[str]]
"""Reads a text anew: its lines one by one, without line breaks."""


@dataclass(frozen=True)
class Texts:
    """The two texts of a corpus."""

    name: str
    train: Lines
    valid: Lines
    was_split: bool
    """Whether validation is a part of what was given as one text."""

    def sha256(self) -> str:
        """Of the training text, a line break behind each line."""
        digest = hashlib.sha256()
        for line in self.train():
            digest.update(f"{line}\n".encode())
        return digest.hexdigest()


def find_texts(place: Path, field: str | None = None) -> Texts:
    """Find the texts in a folder or file; CorpusError says what is missing.

    `field` names where the records of a `.jsonl` file hold their text.
    """
    name = place.resolve().name
    if not place.exists():
        raise CorpusError(f"there is no folder or file {place}")
    if place.is_dir() and (place / "train.txt").exists():
        train = place / "train.txt"
        if (place / "valid.txt").exists():
            return Texts(name, _of_file(train), _of_file(place / "valid.txt"), was_split=False)
        return _split(name, _of_file(train))
    if place.is_dir() and any((place / f"{split}.txt").exists() for split in ("valid", "test")):
        raise CorpusError(f"there is no train.txt in {place}")  # nobody trains on the test text
    files = [place] if place.is_file() else sorted(place.rglob("*.txt"))
    records = [place] if place.suffix == ".jsonl" else []
    if place.is_dir() and not files:
        records = sorted(place.rglob("*.jsonl"))
    if records:
        return _split(name, _joined([_of_records(file, field) for file in records]))
    if not files:
        raise CorpusError(f"{place} holds no .txt and no .jsonl file")
    return _split(name, _joined([_of_file(file) for file in files]))


def iter_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file one by one, without their line breaks.

    Raises CorpusError where the file is missing, empty, not UTF-8, or has a NUL; the last three
    when the reading comes there.
    """
    blank = True
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if "\0" in line:
                    raise CorpusError(f"{path}: line {number} has a NUL")
                blank = blank and not line.strip()
                yield line.removesuffix("\n")
    except FileNotFoundError:
        raise CorpusError(f"there is no {path.name} in {path.parent}") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: line {_broken_line(path)} is not UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from error
    if blank:
        raise CorpusError(f"{path} is empty")


def read_lines(path: Path) -> list[str]:
    """All lines of a UTF-8 text file; CorpusError where it is unusable."""
    return list(iter_lines(path))


def _broken_line(path: Path) -> int:
    """The first line that is not UTF-8: decoding reads ahead, so it is looked up."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    raise AssertionError(f"{path} changed while it was read")


def _of_file(path: Path) -> Lines:
    return lambda: iter_lines(path)


def _of_records(path: Path, field: str | None) -> Lines:
    """The texts under a field of a JSONL file's records, a blank line behind each."""
    if field is None:
        raise CorpusError(f"{path} holds records: name the field of the text with --field")

    def lines() -> Iterator[str]:
        for number, line in enumerate(iter_lines(path), start=1):
            if line.strip():
                yield from _text_of(path, number, line, field).split("\n")
                yield ""

    return lines


def _text_of(path: Path, number: int, line: str, field: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{path}: line {number} is not JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        raise CorpusError(f"{path}: line {number} has no text under {field!r}")
    text: str = record[field]
    if "\0" in text:
        raise CorpusError(f"{path}: line {number} has a NUL")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _joined(texts: Iterable[Lines]) -> Lines:
    """One text after the other, a blank line between them."""
    texts = list(texts)

    def lines() -> Iterator[str]:
        for number, text in enumerate(texts):
            if number:
                yield ""
            yield from text()

    return lines


def _split(name: str, whole: Lines) -> Texts:
    """One in twenty documents for validation; CorpusError where there is but one."""

    def part(*, valid: bool) -> Iterator[str]:
        for number, document in enumerate(_documents(whole())):
            if (number % _VALID_ONE_IN == _VALID_ONE_IN // 2) == valid:
                yield from document

    if sum(1 for _ in islice(_documents(whole()), _VALID_ONE_IN)) <= _VALID_ONE_IN // 2:
        raise CorpusError(
            f"{name} is too short to set a part of it aside for validation: give a valid.txt"
        )
    return Texts(name, lambda: part(valid=False), lambda: part(valid=True), was_split=True)


def _documents(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines up to a blank one behind them, or up to the longest a document may be."""
    document: list[str] = []
    for line in lines:
        document.append(line)
        ends = not line.strip() and any(before.strip() for before in document)
        if ends or len(document) == _LONGEST_DOCUMENT:
            yield document
            document = []
    if document:
        yield document
