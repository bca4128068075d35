"""A run's folder: configuration, tokenizer, weights, and what an exact resume needs.

Weights are safetensors, everything else JSON; no pickle. Every file is written whole to a
temporary name and then renamed, so that a stop at any moment leaves the last good one.
Must not know: corpora, the training loop.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from models.errors import TokenizerError
from models.text import Tokenizer
from training.config import RunConfig, check_config
from training.errors import RunError
from training.model import LanguageModel

RUN_FILE, TOKENIZER_FILE = "run.json", "tokenizer.json"
BEST_FILE, LAST_FILE, LOG_FILE = "best.safetensors", "last.safetensors", "log.jsonl"
SPEED_FILE = "speed.jsonl"


@dataclass(frozen=True)
class RunInfo:
    """What a run is: its recipe and configuration, and the corpus it learns from."""

    recipe: str
    config: RunConfig
    corpus_name: str
    corpus_sha256: str
    start_sha256: str | None = None
    """Of the weights it began with; None for chance."""


@dataclass(frozen=True)
class Run:
    """A run read back from its folder: the best model so far, ready to evaluate or export."""

    info: RunInfo
    tokenizer: Tokenizer
    model: LanguageModel
    metrics: Mapping[str, float]
    """Of the best model: `step`, `valid_loss`, `valid_perplexity`."""


def check_folder(folder: Path, *, resume: bool) -> None:
    """Raise RunError where a new run would overwrite another, or there is none to go on with."""
    if resume:
        read_info(folder)
    elif (folder / RUN_FILE).exists():
        raise RunError(f"{folder} holds a run already: add --resume, or choose another --out")


def create_run(folder: Path, info: RunInfo, tokenizer: Tokenizer) -> None:
    """Lay out a new run in its folder, the description last; RunError where it cannot be."""
    check_folder(folder, resume=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror}") from error
    write_whole(folder / TOKENIZER_FILE, tokenizer.to_json().encode())
    described = {
        "recipe": info.recipe,
        "config": info.config.model_dump(),
        "corpus": {"name": info.corpus_name, "sha256": info.corpus_sha256},
    }
    if info.start_sha256 is not None:
        described["start"] = {"sha256": info.start_sha256}
    write_whole(folder / RUN_FILE, json.dumps(described, indent=1).encode())


def read_info(folder: Path) -> RunInfo:
    """Read a run folder's description; RunError where there is none or it is broken."""
    try:
        described = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return RunInfo(
            recipe=described["recipe"],
            config=check_config(described["config"]),
            corpus_name=described["corpus"]["name"],
            corpus_sha256=described["corpus"]["sha256"],
            start_sha256=described["start"]["sha256"] if "start" in described else None,
        )
    except FileNotFoundError:
        raise RunError(f"{folder} holds no run (no {RUN_FILE})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / RUN_FILE} is broken: {error}") from error


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read a run folder's tokenizer; RunError where it is missing or broken."""
    try:
        return Tokenizer.from_json((folder / TOKENIZER_FILE).read_text(encoding="utf-8"))
    except (OSError, TokenizerError) as error:
        raise RunError(f"{folder / TOKENIZER_FILE}: {error}") from error


def load_run(folder: Path) -> Run:
    """Read a run with its best weights; RunError says what is missing."""
    info = read_info(folder)
    tokenizer = read_tokenizer(folder)
    if len(tokenizer) != info.config.vocabulary:
        raise RunError(f"{folder / TOKENIZER_FILE} is not of {info.config.vocabulary} tokens")
    tensors, metadata = read_tensors(folder / BEST_FILE)
    model = LanguageModel(info.config)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{folder / BEST_FILE} holds the weights of another model") from error
    return Run(info, tokenizer, model.eval(), metadata)


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write tensors and JSON-able metadata to one safetensors file, whole or not at all.

    Tensors of any device; they are read back on the CPU.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(contiguous, {"nextword": json.dumps(dict(metadata))}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote; RunError where it is missing or broken."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("nextword", "{}"))
        return load_file(path), metadata
    except FileNotFoundError:
        raise RunError(f"there is no {path.name} in {path.parent}: nothing was saved yet") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is broken: {error}") from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole.

    Raises RunError where it cannot be written, as on a full disk; the old one is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        kept = "; the one before is kept" if path.exists() else ""
        raise RunError(f"{path} cannot be written: {error.strerror}{kept}") from error
    finally:
        temporary.unlink(missing_ok=True)
