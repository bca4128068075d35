"""A corpus: text files -> token ids -> windows for stateful truncated BPTT.

Must not know: the model, the optimiser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import VocabularyError
from models.pipelines import Mode
from models.text import Tokenizer
from training.errors import CorpusError

Ids = NDArray[np.int32]

_LINES_AT_ONCE = 20_000


@dataclass(frozen=True)
class Corpus:
    """The token ids of a corpus folder, and the tokenizer made from its training text."""

    tokenizer: Tokenizer
    train: Ids
    valid: Ids
    name: str
    sha256: str
    """Of `train.txt`, so that a model card can say what it was trained on."""


def load_corpus(folder: Path, mode: Mode, vocabulary: int, tokens: Path | None = None) -> Corpus:
    """Read `train.txt` and `valid.txt` of a folder, and make the tokenizer from the first.

    Texts are read line by line. With `tokens`, a folder, the ids are written to files there and
    stay on disk, so that a corpus may be larger than memory.
    Raises CorpusError, which says what is missing or wrong.
    """
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder")
    train, valid = folder / "train.txt", folder / "valid.txt"
    try:
        tokenizer = Tokenizer.train(iter_lines(train), vocabulary, mode)
    except VocabularyError as error:
        raise CorpusError(f"{train}: {error}") from error
    for _ in iter_lines(valid):  # whatever is wrong is found before anything is written
        pass
    with train.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Corpus(
        tokenizer=tokenizer,
        train=_encode(tokenizer, train, tokens),
        valid=_encode(tokenizer, valid, tokens),
        name=folder.resolve().name,
        sha256=sha256,
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their line breaks; CorpusError where unusable."""
    return list(iter_lines(path))


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


def _broken_line(path: Path) -> int:
    """The first line that is not UTF-8: decoding reads ahead, so it is looked up."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    raise AssertionError(f"{path} changed while it was read")


def encode_stream(tokenizer: Tokenizer, lines: Iterable[str]) -> Ids:
    """The ids of all lines in one row, a line-break token after each line."""
    return np.concatenate([*_encode_blocks(tokenizer, lines), np.zeros(0, np.int32)])


def token_file(folder: Path, split: str) -> Path:
    """Where the ids of a split lie on disk: raw 32-bit integers."""
    return folder / f"{split}.ids"


def open_tokens(path: Path) -> Ids:
    """The ids of a token file, which stay on disk until they are looked at."""
    return np.memmap(path, np.int32, mode="c")  # what torch takes without a warning


def _encode(tokenizer: Tokenizer, text: Path, folder: Path | None) -> Ids:
    if folder is None:
        return encode_stream(tokenizer, iter_lines(text))
    folder.mkdir(parents=True, exist_ok=True)
    target = token_file(folder, text.stem)
    unfinished = target.with_suffix(".part")
    with unfinished.open("wb") as file:
        for block in _encode_blocks(tokenizer, iter_lines(text)):
            file.write(block.tobytes())
    unfinished.replace(target)
    return open_tokens(target)


def _encode_blocks(tokenizer: Tokenizer, lines: Iterable[str]) -> Iterator[Ids]:
    """The ids of some thousand lines at a time."""
    for block in _blocks(lines):
        ids: list[int] = []
        for line_ids in tokenizer.encode_lines(block):
            ids += line_ids
            ids.append(tokenizer.newline_id)
        yield np.asarray(ids, dtype=np.int32)


def _blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(lines)
    while block := list(islice(rest, _LINES_AT_ONCE)):
        yield block


def side_by_side(ids: Ids, batch: int) -> torch.Tensor:
    """Cut a row of ids into `batch` streams; int32 [N, B], the ids that fill no stream dropped.

    It is a view: nothing is read before it is looked at.
    Raises CorpusError where a stream would hold fewer than two tokens.
    """
    length = len(ids) // batch
    if length < 2:
        raise CorpusError(
            f"the text has {len(ids)} tokens, too few for {batch} streams of at least 2: "
            "give more text, or lower batch"
        )
    return torch.from_numpy(ids[: length * batch]).view(batch, length).t()


@dataclass(frozen=True)
class Windows:
    """Consecutive TBPTT windows over streams: the input ids, and the same one token later.

    With a `seed`, windows differ in length, by a normal distribution about `bptt` with one in
    twenty about half of that (Merity 2018), anew in each pass, but as many in every pass.
    """

    ids_NB: torch.Tensor
    bptt: int
    seed: int | None = None

    def __len__(self) -> int:
        """How many windows one pass has."""
        return -(-(len(self.ids_NB) - 1) // self.bptt)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The input and target ids of the first pass' window, int64 [T, B] each."""
        return self.window(index)

    def window(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The input and target ids at a step of all passes, int64 [T, B] each."""
        epoch, index = divmod(step, len(self))
        start, end = self._seams(epoch)[index : index + 2]
        return self.ids_NB[start:end].long(), self.ids_NB[start + 1 : end + 1].long()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The first pass over all windows, in order."""
        return (self[index] for index in range(len(self)))

    def _seams(self, epoch: int) -> list[int]:
        """Where the windows of a pass begin, and where its last one ends."""
        end = len(self.ids_NB) - 1
        if self.seed is None:
            return [*range(0, end, self.bptt), end]
        return _varied_seams(end, len(self), self.seed, epoch)


@lru_cache(maxsize=4)
def _varied_seams(end: int, windows: int, seed: int, epoch: int) -> list[int]:
    """Seams whose distances vary; every window holds a token at least."""
    chance = np.random.default_rng([seed, epoch])
    about = np.where(chance.random(windows) < 0.05, 0.5, 1.0)
    lengths = np.maximum(about + chance.normal(0, 0.1, windows), 0.1)
    spare = end - windows  # a token each, the rest by length
    inner = np.arange(1, windows) + np.floor(spare * np.cumsum(lengths)[:-1] / lengths.sum())
    return [0, *(int(seam) for seam in inner), end]
