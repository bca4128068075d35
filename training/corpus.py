"""A corpus: texts -> token ids -> windows for stateful truncated BPTT.

Must not know: the model, the optimiser.
"""

from __future__ import annotations

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
from training.openings import Openings
from training.texts import find_texts

Ids = NDArray[np.int32]

_LINES_AT_ONCE = 20_000


@dataclass(frozen=True)
class Corpus:
    """The token ids of a corpus folder, and the tokenizer that made them."""

    tokenizer: Tokenizer
    train: Ids
    valid: Ids
    name: str
    sha256: str
    """Of the training text, so that a model card can say what it was trained on."""


def load_corpus(
    place: Path,
    mode: Mode,
    vocabulary: int,
    *,
    tokenizer: Tokenizer | None = None,
    field: str | None = None,
    tokens: Path | None = None,
) -> Corpus:
    """Find the texts at a place, make the tokenizer from the training text, and read their ids.

    A `tokenizer` that is given is taken as it is. Texts are read line by line; where they may lie
    is told in `training.texts`. With `tokens`, a folder, the ids are written to files there and
    stay on disk, so that a corpus may be larger than memory.
    Raises CorpusError, which says what is missing or wrong.
    """
    texts = find_texts(place, field)
    try:
        tokenizer = tokenizer or Tokenizer.train(texts.train(), vocabulary, mode)
    except VocabularyError as error:
        raise CorpusError(f"{texts.name}: {error}") from error
    for _ in texts.valid():  # whatever is wrong is found before anything is written
        pass
    return Corpus(
        tokenizer=tokenizer,
        train=_encode(tokenizer, texts.train(), "train", tokens),
        valid=_encode(tokenizer, texts.valid(), "valid", tokens),
        name=texts.name,
        sha256=texts.sha256(),
    )


def encode_stream(tokenizer: Tokenizer, lines: Iterable[str]) -> Ids:
    """The ids of all lines in one row, a line-break token after each line."""
    return np.concatenate([*_encode_blocks(tokenizer, lines), np.zeros(0, np.int32)])


def token_file(folder: Path, split: str) -> Path:
    """Where the ids of a split lie on disk: raw 32-bit integers."""
    return folder / f"{split}.ids"


def open_tokens(path: Path) -> Ids:
    """The ids of a token file, which stay on disk until they are looked at."""
    return np.memmap(path, np.int32, mode="c")  # what torch takes without a warning


def _encode(tokenizer: Tokenizer, lines: Iterable[str], split: str, folder: Path | None) -> Ids:
    if folder is None:
        return encode_stream(tokenizer, lines)
    folder.mkdir(parents=True, exist_ok=True)
    target = token_file(folder, split)
    unfinished = target.with_suffix(".part")
    with unfinished.open("wb") as file:
        for block in _encode_blocks(tokenizer, lines):
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
    openings: Openings | None = None
    """Beginnings of documents that stand behind the streams in every window."""

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
        ids_TB, targets_TB = self.ids_NB[start:end].long(), self.ids_NB[start + 1 : end + 1].long()
        if self.openings is None:
            return ids_TB, targets_TB
        more_TN, their_targets_TN = self.openings.window(step, end - start)
        return torch.cat([ids_TB, more_TN], 1), torch.cat([targets_TB, their_targets_TN], 1)

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
