"""Several processes that train one model: who reads which streams, and how they agree.

`torchrun` starts the processes; each has its share of the streams, and gradients are averaged over
all of them at every step, so that the weights stay the same everywhere. Without it there is one
process that agrees with itself.
Must not know: corpora, files, optimisers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from training.devices import CPU
from training.errors import ConfigError


@dataclass(frozen=True)
class Ranks:
    """This process among all of them."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU
    """Where this process calculates, and exchanges tensors from."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def share(self, streams: int, key: str = "batch") -> slice:
        """The streams that are this process' own; `key` is what the recipe calls their number.

        Raises ConfigError where there are more processes than streams, or they do not divide.
        """
        if streams < self.world:
            raise ConfigError(f"{self.world} processes for {streams} streams: raise {key}")
        if streams % self.world:
            raise ConfigError(f"{key} = {streams} does not divide by {self.world} processes")
        own = streams // self.world
        return slice(self.rank * own, (self.rank + 1) * own)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over all processes."""
        if self.world == 1:
            return
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor.div_(self.world)

    def sum(self, *values: float) -> list[float]:
        """Each number's sum over all processes."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensor of every process, in the order of their ranks, on this process' device."""
        if self.world == 1:
            return [tensor]
        tensor = tensor.to(self.device)
        found = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(found, tensor.contiguous())
        return found

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()


ALONE = Ranks()
"""One process."""


def local_rank() -> int:
    """The number of this process among those that torchrun started on this machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined(device: torch.device = CPU) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if it did, and part from them at the end.

    Tensors are exchanged by gloo on the CPU and by nccl between GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks(device=device)
        return
    if device.type == "cuda":
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield Ranks(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()
