"""Stopping and going on: all that a run is besides its corpus, saved and put back bit for bit.

Must not know: corpora, validation, logs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from training.checkpoint import LAST_FILE, RunInfo, read_info, read_tensors, save_tensors
from training.errors import RunError
from training.loop import Stepper
from training.model import flatten


@dataclass
class Progress:
    """Where a run stands; all of it is in the checkpoint."""

    step: int = 0
    best_loss: float = math.inf
    stale: int = 0
    """Validations since the best one."""
    train_loss: float | None = None
    """Running mean of the windows' loss."""


def save_progress(out: Path, stepper: Stepper, progress: Progress) -> None:
    """Write `last.safetensors`: weights, optimiser, carried state, chance, progress.

    All processes bring what is their own; the first one writes.
    """
    average = {"average_count": stepper.average.count, "average_losses": stepper.average.losses}
    tensors = _resumable_tensors(stepper)
    if stepper.ranks.first:
        save_tensors(out / LAST_FILE, tensors, vars(progress) | average)


def _resumable_tensors(stepper: Stepper) -> dict[str, torch.Tensor]:
    """Everything a resumed run needs to go on bit for bit: weights, optimiser, state, chance."""
    tensors = {f"model.{name}": t for name, t in stepper.model.state_dict().items()}
    for index, slots in stepper.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{slot}": t for slot, t in slots.items() if t is not None}
    tensors |= {f"average.{name}": t for name, t in stepper.average.mean.items()}
    gather = stepper.ranks.gather
    tensors |= {f"state.{i}": torch.cat(gather(t)) for i, t in enumerate(flatten(stepper.state))}
    return tensors | {"random": torch.stack(gather(torch.get_rng_state()))}


def restore(out: Path, stepper: Stepper, progress: Progress) -> None:
    """Put a run back to where its last checkpoint was written.

    Raises RunError where it was written by another number of processes.
    """
    tensors, saved = read_tensors(out / LAST_FILE)
    under, ranks = _by_prefix(tensors), stepper.ranks
    if len(tensors["random"]) != ranks.world:
        raise RunError(
            f"{out} was trained by {len(tensors['random'])} process(es), not by {ranks.world}"
        )
    stepper.model.load_state_dict(under["model"])
    optimizer = stepper.optimizer.state_dict()
    optimizer["state"] = {}
    for name, tensor in under.get("optimizer", {}).items():
        index, slot = name.split(".")
        optimizer["state"].setdefault(int(index), {})[slot] = tensor
    stepper.optimizer.load_state_dict(optimizer)
    own = ranks.share(stepper.config.batch)
    carried = iter(under["state"][str(i)][own].clone() for i in range(len(under["state"])))
    stepper.state = tuple(tuple(next(carried) for _ in layer) for layer in stepper.state)
    stepper.average.mean = under.get("average", {})
    stepper.average.count = saved.pop("average_count")
    stepper.average.losses = saved.pop("average_losses")
    torch.set_rng_state(tensors["random"][ranks.rank].clone())  # torch ignores a view's offset
    vars(progress).update(saved)


def _by_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    grouped: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        grouped.setdefault(prefix, {})[rest] = tensor
    return grouped


def check_same_run(out: Path, info: RunInfo) -> None:
    """Raise RunError unless the run began with this configuration and this corpus."""
    before = read_info(out)
    if before.corpus_sha256 != info.corpus_sha256:
        raise RunError(f"{out} was trained on another train.txt than this one")
    for key, value in info.config.model_dump().items():
        old = getattr(before.config, key)
        if old != value:
            raise RunError(f"{out} was begun with {key} = {old!r}, not {value!r}")
