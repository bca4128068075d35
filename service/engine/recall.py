"""A session's continuous cache: what it recalls at a place, and what that makes likelier.

The equation is that of `models.cache`. Words outside the vocabulary are recalled by their spelling.
Must not know: onnxruntime, how sessions are kept, HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.cache import CacheConfig, likeness_weights

Floats = NDArray[np.float32]

SLACK = 32
"""Places kept beyond a cache's size, so that taking back a few words replays nothing."""


@dataclass(frozen=True)
class Trail:
    """What the model hid before each of the latest tokens, oldest first, [M, D]; a value.

    Kept in half precision and at most `most` places long.
    """

    hidden_MD: NDArray[np.float16]
    most: int

    @classmethod
    def blank(cls, config: CacheConfig, features: int) -> Trail:
        """The trail of a text of which nothing was read yet."""
        return cls(np.zeros((0, features), np.float16), config.size + SLACK)

    def __len__(self) -> int:
        """How many places it goes back."""
        return len(self.hidden_MD)

    def then(self, before_D: Floats, after_TD: Floats) -> Trail:
        """Longer by T tokens: `before` is what was hidden before them, `after` behind each."""
        parts = (self.hidden_MD, before_D[None], after_TD[:-1])
        return replace(
            self,
            hidden_MD=np.concatenate([part.astype(np.float16) for part in parts])[-self.most :],
        )

    def without(self, tokens: int) -> Trail:
        """As it was so many tokens ago, as far as it is still known."""
        return replace(self, hidden_MD=self.hidden_MD[: max(0, len(self) - tokens)])


@dataclass(frozen=True)
class Recall:
    """The words that followed the last M places of a text, and how much they count."""

    config: CacheConfig
    token_ids: tuple[int, ...]
    spellings: tuple[str | None, ...]
    """Of the words outside the vocabulary; None for those within."""

    def odds(self, trail: Trail, hidden_D: Floats) -> Odds | None:
        """What the cache gives each word at a place; None where it holds nothing yet.

        Calculated row by row of a batch, so that no answer depends on who shares it.
        """
        if not self.token_ids:
            return None
        memory_MD = trail.hidden_MD[-len(self.token_ids) :].astype(np.float32)
        [weights_M] = likeness_weights((memory_MD @ hidden_D)[None], self.config.theta)
        known: defaultdict[int, float] = defaultdict(float)
        spelled: defaultdict[str, float] = defaultdict(float)
        for token_id, spelling, weight in zip(
            self.token_ids, self.spellings, weights_M.tolist(), strict=True
        ):
            if spelling is None:
                known[token_id] += weight
            else:
                spelled[spelling] += weight
        ids = sorted(known)
        return Odds(
            self.config.share,
            np.array(ids, np.int64),
            np.array([known[i] for i in ids]),
            dict(spelled),
        )


@dataclass(frozen=True)
class Odds:
    """What a cache gives the words it holds; shares of 1, over known and spelled words together."""

    share: float
    """Lambda: the part of the probability that the cache has."""
    ids_N: NDArray[np.int64]
    odds_N: NDArray[np.float64]
    spelled: dict[str, float]

    def mix(self, log_probs_V: Floats) -> Floats:
        """The model's log-probabilities with the cache's part mixed in."""
        mixed_V = log_probs_V + np.float32(np.log1p(-self.share))
        model_N = np.exp(mixed_V[self.ids_N].astype(np.float64))
        mixed_V[self.ids_N] = np.log(model_N + self.share * self.odds_N)
        return mixed_V

    def log_odds(self, spelling: str) -> float:
        """The log-probability of a word outside the vocabulary, which only the cache knows."""
        return float(np.log(self.share * self.spelled[spelling]))
