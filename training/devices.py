"""Where a run calculates: the device, the type of its products, what a GPU is told beforehand.

Must not know: models, corpora, files.
"""

from __future__ import annotations

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

from training.config import Device, RunConfig
from training.errors import ConfigError

CPU = torch.device("cpu")


class Cuda(Protocol):
    """What is asked of `torch.cuda`."""

    def is_available(self) -> bool:
        """Whether there is a GPU, and a torch that can use it."""

    def device_count(self) -> int:
        """How many GPUs this machine has."""

    def is_bf16_supported(self, *, including_emulation: bool = ...) -> bool:
        """Whether the GPU has bfloat16."""


def choose_device(wanted: Device, cuda: Cuda = torch.cuda, local_rank: int = 0) -> torch.device:
    """The device of this process, number `local_rank` on its machine; each has a GPU of its own.

    Raises ConfigError where there is no GPU, or none left for this process.
    """
    if wanted == "cpu" or (wanted == "auto" and not cuda.is_available()):
        return CPU
    if not cuda.is_available():
        raise ConfigError(
            "device = cuda, but torch finds no GPU: install a driver and a torch that is built "
            "for CUDA, or set device = auto"
        )
    if local_rank >= cuda.device_count():
        raise ConfigError(
            f"process {local_rank} has no GPU of its own, as there are {cuda.device_count()}: "
            "start fewer processes, or set device = cpu"
        )
    return torch.device("cuda", local_rank)


def prepare(device: torch.device) -> None:
    """Make a GPU calculate the same each time, in float32 where float32 was asked for.

    To be called before anything is calculated there; on the CPU nothing needs to be done.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuDNN's sums vary in order
    torch.cuda.set_device(device)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    # Weights are copied together once a window, which costs next to nothing; and TF32 is not meant.
    warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores .* available but not enabled")


def choose_dtype(config: RunConfig, device: torch.device, cuda: Cuda = torch.cuda) -> torch.dtype:
    """The type that matrix products of training run in."""
    if config.precision != "auto":
        return torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        has_bfloat16 = cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = torch.cpu.get_capabilities().get("amx_bf16", False)
    return torch.bfloat16 if has_bfloat16 else torch.float32


def products_in(dtype: torch.dtype, device: torch.device) -> AbstractContextManager[object]:
    """Within, matrix products on the device run in `dtype`; float32 is how they run anyway."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
