"""A corpus: text files -> token ids -> windows for stateful truncated BPTT.

Must not know: the model, the optimiser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import VocabularyError
from models.pipelines import Mode
from models.text import Tokenizer
from training.errors import CorpusError

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Corpus:
    """The token ids of a corpus folder, and the tokenizer made from its training text."""

    tokenizer: Tokenizer
    train: Ids
    valid: Ids
    name: str
    sha256: str
    """Of `train.txt`, so that a model card can say what it was trained on."""


def load_corpus(folder: Path, mode: Mode, vocabulary: int) -> Corpus:
    """Read `train.txt` and `valid.txt` of a folder; CorpusError says what is missing or wrong."""
    if not folder.is_dir():
        raise CorpusError(f"{folder} is not a folder")
    train_lines = read_lines(folder / "train.txt")
    valid_lines = read_lines(folder / "valid.txt")
    try:
        tokenizer = Tokenizer.train(train_lines, vocabulary, mode)
    except VocabularyError as error:
        raise CorpusError(f"{folder / 'train.txt'}: {error}") from error
    return Corpus(
        tokenizer=tokenizer,
        train=encode_stream(tokenizer, train_lines),
        valid=encode_stream(tokenizer, valid_lines),
        name=folder.resolve().name,
        sha256=hashlib.sha256((folder / "train.txt").read_bytes()).hexdigest(),
    )


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 text file, without their line breaks; CorpusError where unusable."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CorpusError(f"there is no {path.name} in {path.parent}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise CorpusError(f"{path}: line {line} is not UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from error
    if not text.strip():
        raise CorpusError(f"{path} is empty")
    if "\0" in text:
        raise CorpusError(f"{path}: line {text[: text.index(chr(0))].count(chr(10)) + 1} has a NUL")
    return text.removesuffix("\n").split("\n")


def encode_stream(tokenizer: Tokenizer, lines: list[str]) -> Ids:
    """The ids of all lines in one row, a line-break token after each line."""
    ids: list[int] = []
    for line_ids in tokenizer.encode_lines(lines):
        ids += line_ids
        ids.append(tokenizer.newline_id)
    return np.asarray(ids, dtype=np.int32)


def side_by_side(ids: Ids, batch: int) -> torch.Tensor:
    """Cut a row of ids into `batch` streams; int64 [N, B], the ids that fill no stream dropped.

    Raises CorpusError where a stream would hold fewer than two tokens.
    """
    length = len(ids) // batch
    if length < 2:
        raise CorpusError(
            f"the text has {len(ids)} tokens, too few for {batch} streams of at least 2: "
            "give more text, or lower batch"
        )
    ids_BN = ids[: length * batch].reshape(batch, length)
    return torch.from_numpy(np.ascontiguousarray(ids_BN.T).astype(np.int64))


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
        return self.ids_NB[start:end], self.ids_NB[start + 1 : end + 1]

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
