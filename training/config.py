"""The typed configuration of a run: one recipe file, then `--set` overrides.

Must not know: torch, files other than recipes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.pipelines import Mode
from training.errors import ConfigError, nearest

Cell = Literal[
    "rnn_tanh",
    "rnn_relu",
    "lstm",
    "peephole_lstm",
    "cifg_lstm",
    "cifg_peephole_lstm",
    "gru",
    "gru_reset_before",
]
CELLS: tuple[Cell, ...] = get_args(Cell)
Normalization = Literal["none", "layer", "batch"]
Start = Literal["uniform", "identity"]
Storage = Literal["float32", "float16", "int8"]
"""How weights lie in a bundle's files; they are calculated with in float32 either way."""
STORAGES: tuple[Storage, ...] = get_args(Storage)
Device = Literal["auto", "cpu", "cuda"]
RECIPES = Path(__file__).parent / "recipes"

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]


class ModelConfig(BaseModel):
    """The shape of a language model: embedding, recurrent layers, head."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cell: Cell = "lstm"
    normalization: Normalization = "none"
    """`layer` normalises the sums (Ba 2016), `batch` the input products (Cooijmans 2016)."""
    start: Start = "uniform"
    """`identity` is for `rnn_relu` alone: h begins by repeating itself (Le 2015)."""
    layers: Count = 1
    embedding: Count = 192
    hidden: Count = 512
    vocabulary: Annotated[int, Field(ge=3)] = 10_000
    """Tokens, the two control tokens included."""
    tied: bool = True
    """Whether the head shares the embedding, reached through a projection (Press & Wolf 2017)."""
    dropout_embedding: Rate = 0.0
    """Of the embedding's features."""
    dropout_layers: Rate = 0.0
    """Between recurrent layers."""
    dropout_output: Rate = 0.0
    """Behind the last one."""
    dropout_mask: Literal["token", "window"] = "token"
    """Whether those three draw a mask for every token, or one for the whole window (Gal 2016)."""
    dropout_words: Rate = 0.0
    """Share of the words whose embedding is zero for a whole window (Gal 2016)."""
    dropout_weights: Rate = 0.0
    """Of the recurrent weights, for a whole window (DropConnect; Merity 2018)."""

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if self.start == "identity" and self.cell != "rnn_relu":
            raise ValueError(f"start=identity is for rnn_relu, not for {self.cell}")
        return self


class RunConfig(ModelConfig):
    """Everything that decides a run, the corpus aside."""

    text: Mode = "natural"
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch: Count = 64
    """Streams trained side by side."""
    bptt: Count = 35
    """Tokens a truncated back-propagation window spans (Williams & Peng 1990)."""
    vary_bptt: bool = False
    """Let windows differ in length about `bptt`, anew each epoch, so that their seams move; the
    learning rate goes with the length (Merity 2018)."""
    forget: Rate = 0.0
    """Chance that a stream's carried state is zeroed at a window, so that the model also learns
    to start from nothing, as a new session does."""
    openings: Annotated[int, Field(ge=0)] = 0
    """Beginnings of documents read beside the streams in every window, from a state of zeros, as a
    new session begins. Documents are what stands between blank lines."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    warmup: Rate = 0.1
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Largest norm of the gradient of all weights together (Pascanu 2013)."""
    ar: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the penalty on large hidden vectors (activation regularisation, Merity 2017)."""
    tar: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the penalty on their change from token to token (temporal AR)."""
    average: Literal["none", "ema", "nt_asgd"] = "none"
    """Average of the weights that is validated and kept instead of the last ones."""
    average_decay: Annotated[float, Field(gt=0, lt=1)] = 0.999
    """Of `ema`: how much of the average stays at each step."""
    average_patience: Count = 5
    """Of `nt_asgd`: validations without progress before averaging begins."""
    softmax_samples: Annotated[int, Field(ge=0)] = 0
    """Words drawn for each window's softmax besides its own; 0 takes the whole vocabulary. Only
    training is sampled: validation and the exported head are exact (Jean 2015)."""
    softmax_whole: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the steps, the last ones, that take the whole vocabulary all the same: a sample is
    cheap while all is to be learnt, and blurs the rare words that are learnt last."""
    patience: Count = 5
    """Validations without a new best before the run stops early."""
    validations: Count = 10
    """Validations in a run, evenly spread."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of the matrix products in training; `auto` takes bfloat16 where the device has it."""
    device: Device = "auto"
    """Where training calculates; `auto` takes a GPU where torch finds one."""
    compile: bool = False
    """Whether the layers go through torch.compile in training."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Processor threads; 0 takes all."""
    seed: Annotated[int, Field(ge=0)] = 1


_Config = TypeVar("_Config", bound=ModelConfig)


def load_recipe(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a recipe, by name or as a path to a TOML file, and apply `key=value` overrides.

    Raises ConfigError for an unknown recipe, key or value, naming the nearest known one.
    """
    values = _read_recipe(name)
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, not {override!r}")
        values[key.strip()] = _parse(value.strip())
    return check_config(values)


def check_config(values: Mapping[str, Any]) -> RunConfig:
    """Turn plain values into a RunConfig; ConfigError says which key is wrong and why."""
    return _checked(RunConfig, values)


def check_model_config(values: Mapping[str, Any]) -> ModelConfig:
    """Turn plain values into a ModelConfig; ConfigError says which key is wrong and why."""
    return _checked(ModelConfig, values)


def _checked(kind: type[_Config], values: Mapping[str, Any]) -> _Config:
    known = list(kind.model_fields)
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {key!r}{nearest(key, known)}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError("; ".join(faults)) from error


def recipe_names() -> list[str]:
    """The recipes that come with nextword."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _read_recipe(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        hint = nearest(name, recipe_names())
        raise ConfigError(f"no recipe {name!r}{hint}; there are {recipe_names()}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _parse(value: str) -> Any:
    """Read a value as TOML would; what is no TOML is a string: `cell=gru` needs no quotes."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value
