"""A ranking with its uncertainty: which places a competitor may take, given a few results each.

Must not know: what the results are of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

_ERRORS_APART = 2.0
"""Standard errors of a difference by which two means must differ to count as different."""


@dataclass(frozen=True)
class Ranking:
    """Competitors by their mean result, the lowest first."""

    means: Mapping[str, float]
    """In order; inf where a result is not finite."""
    margin: float
    """The difference of two means that counts; NaN where no competitor has two results."""

    def differ(self, one: str, other: str) -> bool:
        """Whether two means are farther apart than chance explains; not so if that is unknown."""
        return abs(self.means[one] - self.means[other]) > self.margin

    def places(self, name: str) -> tuple[int, int]:
        """The best and the worst place that a competitor may have in truth."""
        mean = self.means[name]
        apart = [other for other in self.means if self.differ(name, other)]
        ahead = sum(self.means[other] < mean for other in apart)
        behind = sum(self.means[other] > mean for other in apart)
        return 1 + ahead, len(self.means) - behind


def rank(results: Mapping[str, Sequence[float]]) -> Ranking:
    """Rank competitors that have equally many results each.

    The spread is taken to be the same for all and pooled over them, since a few results say little
    about the spread of one; the margin is two standard errors of a difference of two means.
    """
    finite = [values for values in results.values() if all(map(math.isfinite, values))]
    count = len(next(iter(results.values())))
    if count < 2 or not finite:
        margin = math.nan
    else:
        pooled = fmean(variance(values) for values in finite)
        margin = _ERRORS_APART * math.sqrt(2 * pooled / count)
    means = {name: fmean(values) for name, values in results.items()}
    return Ranking(dict(sorted(means.items(), key=lambda item: item[1])), margin)
