"""What a run may begin with instead of chance: the weights and the tokenizer of a trained model.

Must not know: corpora, optimisers, how weights lie in files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from torch import Tensor

from models import bundle
from models.text import Tokenizer
from training.arrays import array
from training.checkpoint import load_run
from training.config import RunConfig
from training.errors import ConfigError
from training.from_bundle import model_of
from training.model import LanguageModel

_SHAPE = ("cell", "normalization", "layers", "embedding", "hidden", "vocabulary", "tied")
"""Keys of a recipe that weights belong to."""


@dataclass(frozen=True)
class Start:
    """The weights to begin with, and the tokenizer that they belong to."""

    weights: Mapping[str, Tensor]
    tokenizer: Tokenizer
    sha256: str
    """Of the weights."""


def open_start(place: Path, config: RunConfig) -> Start:
    """Read what a run with `config` is to begin with: a run's best weights, or a bundle's.

    Raises RunError or BundleError where the place holds neither, ConfigError where its model has
    another shape, with the change that makes them alike.
    """
    model, tokenizer = _open(place)
    theirs = {key: getattr(model.config, key) for key in _SHAPE} | {"text": tokenizer.mode}
    for key, value in theirs.items():
        if value != getattr(config, key):
            ours = getattr(config, key)
            raise ConfigError(
                f"{place} has {key} = {value!r}, this run {ours!r}: add --set {key}={value}"
            )
    weights = model.state_dict()
    digest = sha256()
    for tensor in weights.values():
        digest.update(array(tensor).tobytes())
    return Start(weights, tokenizer, digest.hexdigest())


def _open(place: Path) -> tuple[LanguageModel, Tokenizer]:
    if (place / bundle.MANIFEST_FILE).exists():
        loaded = bundle.load(place)
        return model_of(loaded), loaded.tokenizer
    run = load_run(place)
    return run.model, run.tokenizer
