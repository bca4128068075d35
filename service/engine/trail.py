"""What a session's continuous cache remembers: the hidden vectors of its latest places.

Which words followed stands in the session's text; what they make likelier, in `models.cache`.
Must not know: onnxruntime, how sessions are kept, HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.cache import CacheConfig, Floats

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
