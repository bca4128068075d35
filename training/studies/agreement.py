"""A made-up corpus: sentences that must agree with their own beginning, written from a seed.

Each sentence opens on a topic and a number, strays over some places and qualities, and ends on a
verb of the number and a closing word of the topic. Words within a class are used by rank (Zipf).
Must not know: nets, windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TOPICS = ("sea", "farm", "court", "mine", "school", "theatre")
_NOUNS_A_TOPIC = 6
_VERBS = 12
_QUALITIES = 20
_PLACES = 20
_STRAYS = (1, 2, 3, 4, 6, 9)
"""How many places or qualities may lie between a noun and what must agree with it."""
_HELD_OUT_SHARE = 10
"""The validation and the test text each have one sentence in this many of the training's."""


@dataclass(frozen=True)
class Grammar:
    """A writer of sentences, at one place in a row of random numbers."""

    chance: np.random.Generator

    def sentence(self) -> str:
        """One sentence, its three agreements kept."""
        topic = _TOPICS[self._rank(len(_TOPICS))]
        plural = bool(self.chance.integers(2))
        noun = f"{topic}noun{self._rank(_NOUNS_A_TOPIC)}"
        verb = f"verb{self._rank(_VERBS)}"
        strays = " ".join(self._stray() for _ in range(int(self.chance.choice(_STRAYS))))
        return (
            f"{'these' if plural else 'this'} {noun}{'s' if plural else ''} {strays} "
            f"{verb}{'' if plural else 's'} by the {topic} ."
        )

    def _stray(self) -> str:
        """What says nothing of topic or number: a quality, or a place of either number."""
        if self.chance.random() < 0.5:
            return f"quite quality{self._rank(_QUALITIES)}"
        return f"near the place{self._rank(_PLACES)}{'s' if self.chance.random() < 0.5 else ''}"

    def _rank(self, count: int) -> int:
        """A number below `count`, n as likely as 1 / (n + 1)."""
        weights = 1 / np.arange(1, count + 1)
        return int(self.chance.choice(count, p=weights / weights.sum()))


def write_corpus(folder: Path, sentences: int, seed: int) -> None:
    """Write train.txt of so many sentences, valid.txt and test.txt into an existing folder."""
    grammar = Grammar(np.random.default_rng(seed))
    held_out = sentences // _HELD_OUT_SHARE
    for split, count in (("train", sentences), ("valid", held_out), ("test", held_out)):
        lines = "".join(f"{grammar.sentence()}\n" for _ in range(count))
        (folder / f"{split}.txt").write_text(lines, encoding="utf-8")
