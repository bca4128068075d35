"""What a run may begin with instead of chance: the weights and the tokenizer of another run.

Must not know: corpora, optimisers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from models.text import Tokenizer
from training.checkpoint import BEST_FILE, load_run
from training.config import RunConfig
from training.errors import ConfigError

_SHAPE = ("text", "cell", "normalization", "layers", "embedding", "hidden", "vocabulary", "tied")
"""Keys of a recipe that weights belong to; all others may differ from the other run's."""


@dataclass(frozen=True)
class Start:
    """The best weights of another run, and the tokenizer that they belong to."""

    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    sha256: str
    """Of the weights' file."""


def open_start(folder: Path, config: RunConfig) -> Start:
    """Read what a run with `config` is to begin with.

    Raises RunError where the folder holds no run, ConfigError where its model has another shape,
    with the change that makes them alike.
    """
    run = load_run(folder)
    for key in _SHAPE:
        theirs, ours = getattr(run.info.config, key), getattr(config, key)
        if theirs != ours:
            raise ConfigError(
                f"{folder} has {key} = {theirs!r}, this run {ours!r}: add --set {key}={theirs}"
            )
    file_sha256 = sha256((folder / BEST_FILE).read_bytes()).hexdigest()
    return Start(run.model.state_dict(), run.tokenizer, file_sha256)
