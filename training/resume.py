"""Stopping and going on: all that a run is besides its corpus, saved and put back bit for bit.

Must not know: corpora, validation, logs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from training.checkpoint import LAST_FILE, RunInfo, read_info, read_tensors, save_tensors
from training.errors import RunError
from training.loop import Stepper
from training.model import flatten

_CUDA_CHANCE = "random_cuda"
"""The state of the GPUs' generators; only a checkpoint written on GPUs has it."""


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
    tensors["random"] = torch.stack(gather(torch.get_rng_state()))
    if stepper.model.device.type == "cuda":
        tensors[_CUDA_CHANCE] = torch.stack(gather(torch.cuda.get_rng_state(stepper.model.device)))
    return tensors


def restore(out: Path, stepper: Stepper, progress: Progress) -> None:
    """Put a run back to where its last checkpoint was written.

    Raises RunError where it was written by another number of processes, or on another device.
    """
    tensors, saved = read_tensors(out / LAST_FILE)
    device = stepper.model.device
    check_same_device(out, tensors, device)
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
    carried = iter(
        under["state"][str(i)][own].clone().to(device) for i in range(len(under["state"]))
    )
    stepper.state = tuple(tuple(next(carried) for _ in layer) for layer in stepper.state)
    stepper.average.mean = {name: t.to(device) for name, t in under.get("average", {}).items()}
    stepper.average.count = saved.pop("average_count")
    stepper.average.losses = saved.pop("average_losses")
    torch.set_rng_state(tensors["random"][ranks.rank].clone())  # torch ignores a view's offset
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[_CUDA_CHANCE][ranks.rank].clone(), device)
    vars(progress).update(saved)


def check_same_device(out: Path, tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Raise RunError unless a checkpoint was written on this kind of device.

    Another one draws other random numbers and rounds otherwise, so that the run would not go on as
    it was.
    """
    before = "cuda" if _CUDA_CHANCE in tensors else "cpu"
    if before != device.type:
        raise RunError(
            f"{out} was trained on {before}, not on {device.type}: add --set device={before}"
        )


def _by_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    grouped: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        grouped.setdefault(prefix, {})[rest] = tensor
    return grouped


def check_same_run(out: Path, info: RunInfo) -> None:
    """Raise RunError unless the run began with this configuration, this corpus, these weights.

    `device` may be written otherwise: `check_same_device` asks where the run really was.
    """
    before = read_info(out)
    if before.corpus_sha256 != info.corpus_sha256:
        raise RunError(f"{out} was trained on another train.txt than this one")
    if before.start_sha256 != info.start_sha256:
        raise RunError(f"{out} began with {_start(before)}, not with {_start(info)}")
    for key, value in info.config.model_dump(exclude={"device"}).items():
        old = getattr(before.config, key)
        if old != value:
            raise RunError(f"{out} was begun with {key} = {old!r}, not {value!r}")


def _start(info: RunInfo) -> str:
    """What a run began with, in words."""
    if info.start_sha256 is None:
        return "weights by chance"
    return f"the weights of sha256 {info.start_sha256[:16]}"
