"""What can go wrong in a training command, each with a sentence for the person who typed it.

Must not know: torch, the command line.
"""

from __future__ import annotations


class TrainingError(Exception):
    """A training command cannot be carried out as asked."""


class ConfigError(TrainingError):
    """A recipe or a `--set` holds an unknown key or an unusable value."""


class CorpusError(TrainingError):
    """A corpus is missing, unreadable, or too small for what was asked."""


class RunError(TrainingError):
    """A run folder is missing, incomplete, or in the way."""


class DivergedError(TrainingError):
    """The loss is no longer a number."""


class ParityError(TrainingError):
    """An exported graph does not compute what the trained model computes."""
