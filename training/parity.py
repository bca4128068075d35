"""How far two scorers are apart: the graphs and torch, the rounded model and the exact one.

Must not know: graphs, bundles, texts.
"""

from __future__ import annotations

import numpy as np

from training.errors import ParityError
from training.scorer import Scorer

TOLERANCE = 1e-5
"""Largest difference in a log-probability or a state between torch and the exported graphs.."""
NORMALIZED_TOLERANCE = 1e-4
"""Likewise for layer-normalised models, which divide by the spread of sums: where that is small, as
at the first token, it makes roundings up to three hundred times larger."""
_LAST_PLACES = 4 * float(np.finfo(np.float32).eps)
"""..beyond four units in the last place, for at -100 float32 itself steps by almost 1e-5."""

_CALLS = ((1, 1, 1), (5, 1, 3), (17, 9, 2), (1, 1, 1), (4, 12, 7))
"""Row lengths of the calls that are compared, state carried from call to call."""


def check_parity(
    expected: Scorer, actual: Scorer, vocabulary: int, name: str, limit: float = TOLERANCE
) -> float:
    """The largest difference between two scorers; ParityError where it is more than `limit`."""
    worst = largest_difference(expected, actual, vocabulary)
    if not worst <= limit:
        raise ParityError(
            f"{name}: the exported graphs differ from torch by {worst:.1e} in log-probabilities "
            f"or state, more than {limit:.0e}; nothing was written"
        )
    return worst


def largest_difference(expected: Scorer, actual: Scorer, vocabulary: int) -> float:
    """Run several stateful, ragged calls through both and find the largest difference.

    Both begin each call with the state that `expected` carries, so that roundings do not pile up.
    Compares the log-probabilities behind every token and the states that come out; NaN where one
    of them is.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    state = expected.initial_state(3)
    for lengths in _CALLS:
        lengths_B = np.array(lengths, np.int32)
        ids_BT = random.integers(0, vocabulary, (3, max(lengths)), dtype=np.int64)
        read = np.arange(max(lengths)) < lengths_B[:, None]
        wanted_BTD, wanted_state = expected.read(ids_BT, lengths_B, state)
        found_BTD, found_state = actual.read(ids_BT, lengths_B, state)
        pairs = [(expected.log_probs(wanted_BTD[read]), actual.log_probs(found_BTD[read]))]
        pairs += zip(wanted_state, found_state, strict=True)
        for wanted, found in pairs:
            excess = np.abs(wanted - found) - _LAST_PLACES * np.abs(wanted)
            worst = float(np.maximum(worst, excess.max()))  # keeps a NaN
        state = wanted_state
    return worst
