"""What can go wrong in a training command, each with a sentence for the person who typed it.

Must not know: torch, the command line.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class TrainingError(Exception):
    """A training command cannot be carried out as asked."""


class ConfigError(TrainingError):
    """A recipe or a `--set` holds an unknown key or an unusable value."""


class MissingError(TrainingError):
    """Something that is needed for what was asked is not installed."""


class CorpusError(TrainingError):
    """A corpus is missing, unreadable, or too small for what was asked."""


class FetchError(TrainingError):
    """A public corpus cannot be fetched, or is not the one that is known."""


class RunError(TrainingError):
    """A run folder is missing, incomplete, or in the way."""


class DivergedError(TrainingError):
    """The loss is no longer a number."""


class ParityError(TrainingError):
    """An exported graph does not compute what the trained model computes."""


class StudyError(TrainingError):
    """There is no such study, or it cannot be run as asked."""


class WeightsError(TrainingError):
    """Weights are missing, superfluous, of the wrong shape, or no numbers."""


def nearest(word: str, known: Sequence[str]) -> str:
    """What an error adds to an unknown word: the known one nearest to it, or all there are."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f" (did you mean {found[0]!r}?)" if found else f" (known: {', '.join(known)})"
