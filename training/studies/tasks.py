"""The made-up tasks of the studies: adding, copying, a stream with questions about its past.

Must not know: nets, training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

COPY_ALPHABET = 8
COPY_INPUTS = COPY_ALPHABET + 2
"""The symbols, the blank, the sign to begin."""
COPY_OUTPUTS = COPY_ALPHABET + 1
"""The symbols and the blank."""
_BLANK = COPY_ALPHABET
_BEGIN = COPY_ALPHABET + 1

STREAM_ALPHABET = 4
STREAM_INPUTS = STREAM_ALPHABET + 2
"""The symbols, the question, the blank."""
NOT_ASKED = -100
"""The target where nothing is asked: what torch's cross entropy passes over."""
_QUESTION = STREAM_ALPHABET
_PAUSE = STREAM_ALPHABET + 1
_LONGEST_PAUSE = 5
"""Steps from a question to the next symbol, so that windows cut the stream anywhere."""


_FIRST_DATA_SEED = 1_000
_HELD_OUT_SEED = 1_000_000


def training_chance(seed: int) -> Generator:
    """What a net of this seed draws its data by; its weights are drawn by the seed itself."""
    return Generator().manual_seed(_FIRST_DATA_SEED + seed)


def held_out_chance() -> Generator:
    """What held-out data are drawn by, the same for all nets."""
    return Generator().manual_seed(_HELD_OUT_SEED)


def draw_adding(length: int, count: int, chance: Generator) -> tuple[Tensor, Tensor]:
    """Sequences [T, B, 2] of a value in [0, 1) and a mark, and the sum [B] of the marked values.

    One step of each half is marked (Hochreiter & Schmidhuber 1997, in the form of Le 2015).
    """
    values_TB = torch.rand(length, count, generator=chance)
    marks_TB = torch.zeros(length, count)
    half, rows = length // 2, torch.arange(count)
    marks_TB[torch.randint(0, half, (count,), generator=chance), rows] = 1
    marks_TB[torch.randint(half, length, (count,), generator=chance), rows] = 1
    return torch.stack([values_TB, marks_TB], dim=2), (values_TB * marks_TB).sum(0)


def draw_copy(symbols: int, blanks: int, count: int, chance: Generator) -> tuple[Tensor, Tensor]:
    """Sequences [T, B, I] of symbols, blanks and a sign to begin, and targets [T, B] of classes.

    S symbols, N - 1 blanks, the sign, S blanks; the targets are N + S blanks, then the symbols, so
    T = N + 2 S (Hochreiter & Schmidhuber 1997, in the form of Arjovsky 2016).
    """
    kept_SB = torch.randint(0, COPY_ALPHABET, (symbols, count), generator=chance)
    ids_TB = torch.full((blanks + 2 * symbols, count), _BLANK)
    targets_TB = ids_TB.clone()
    ids_TB[:symbols] = kept_SB
    ids_TB[-symbols - 1] = _BEGIN
    targets_TB[-symbols:] = kept_SB
    return one_hot(ids_TB, COPY_INPUTS).float(), targets_TB


def copy_baseline(symbols: int, blanks: int) -> float:
    """The cross entropy, in nats a step, of guessing the symbols and knowing all else."""
    return symbols * math.log(COPY_ALPHABET) / (blanks + 2 * symbols)


@dataclass(frozen=True)
class Stream:
    """Streams side by side in which symbols are shown and asked for, again and again."""

    ids_TB: Tensor
    targets_TB: Tensor
    """The symbol asked for, or NOT_ASKED."""
    lags_TB: Tensor
    """Steps since the symbol that is asked for was shown, or 0."""

    def window(self, start: int, length: int) -> tuple[Tensor, Tensor]:
        """Inputs [W, B, I] and targets [W, B] of some consecutive steps."""
        part = slice(start, start + length)
        return one_hot(self.ids_TB[part], STREAM_INPUTS).float(), self.targets_TB[part]


def draw_stream(lags: Sequence[int], length: int, count: int, chance: Generator) -> Stream:
    """`count` streams of `length` steps; every question has one of the lags, all equally likely.

    A pause, a symbol, blanks, the question one lag after the symbol, a pause, the next symbol, ..
    """
    rounds = length // (min(lags) + 1) + 1  # enough, even if every pause is of one step
    picks_RB = torch.randint(0, len(lags), (rounds, count), generator=chance)
    lags_RB = torch.tensor(lags)[picks_RB]
    pauses_RB = torch.randint(1, _LONGEST_PAUSE + 1, (rounds, count), generator=chance)
    symbols_RB = torch.randint(0, STREAM_ALPHABET, (rounds, count), generator=chance)
    asked_RB = (pauses_RB + lags_RB).cumsum(0) - 1
    r, b = (asked_RB < length).nonzero(as_tuple=True)
    t, lag, symbol = asked_RB[r, b], lags_RB[r, b], symbols_RB[r, b]
    stream = Stream(
        ids_TB=torch.full((length, count), _PAUSE),
        targets_TB=torch.full((length, count), NOT_ASKED),
        lags_TB=torch.zeros(length, count, dtype=torch.int64),
    )
    stream.ids_TB[t - lag, b] = symbol
    stream.ids_TB[t, b] = _QUESTION
    stream.targets_TB[t, b] = symbol
    stream.lags_TB[t, b] = lag
    return stream
