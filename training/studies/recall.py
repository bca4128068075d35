"""The task of recalling a symbol: shown once among distractors, asked for after the last step.

Must not know: nets, gradients.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

SYMBOLS = 4
"""What may have to be recalled; guessing is right once in four."""
INPUTS = SYMBOLS + 4
"""The symbols and as many distractors, one-hot."""


@dataclass(frozen=True)
class Recall:
    """Sequences of one length, drawn by a generator of their own."""

    length: int
    chance: torch.Generator

    def anywhere(self, count: int) -> tuple[Tensor, Tensor]:
        """Sequences [T, B, I] with the symbol at a random step each, and the symbols [B]."""
        return self._draw(torch.randint(0, self.length, (count,), generator=self.chance))

    def at_start(self, count: int) -> tuple[Tensor, Tensor]:
        """Sequences [T, B, I] with the symbol at the first step, and the symbols [B]."""
        return self._draw(torch.zeros(count, dtype=torch.int64))

    def _draw(self, place_B: Tensor) -> tuple[Tensor, Tensor]:
        count = len(place_B)
        ids_TB = torch.randint(SYMBOLS, INPUTS, (self.length, count), generator=self.chance)
        symbol_B = torch.randint(0, SYMBOLS, (count,), generator=self.chance)
        ids_TB[place_B, torch.arange(count)] = symbol_B
        return one_hot(ids_TB, INPUTS).float(), symbol_B
