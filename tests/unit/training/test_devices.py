"""Where a run calculates: chosen, refused, and left alone on the CPU."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from tests.unit.training.support import run_config
from training.devices import CPU, choose_device, choose_dtype, prepare, products_in
from training.errors import ConfigError

GPU = torch.device("cuda", 0)


@dataclass
class Gpus:
    """A machine with this many GPUs."""

    count: int
    bfloat16: bool = True

    def is_available(self) -> bool:
        """Whether there is one."""
        return self.count > 0

    def device_count(self) -> int:
        """How many there are."""
        return self.count

    def is_bf16_supported(self, *, including_emulation: bool = True) -> bool:
        """An emulation does any GPU have."""
        return self.bfloat16 or including_emulation


@pytest.mark.parametrize(
    ("wanted", "gpus", "local_rank", "device"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 0, 3, "cpu"),
        ("auto", 1, 0, "cuda:0"),
        ("auto", 4, 3, "cuda:3"),
        ("cuda", 2, 1, "cuda:1"),
        ("cpu", 2, 1, "cpu"),
    ],
)
def test_a_gpu_is_taken_where_there_is_one(
    wanted: str, gpus: int, local_rank: int, device: str
) -> None:
    """Each process of a machine takes its own, unless the CPU was asked for."""
    assert torch.device(device) == choose_device(wanted, Gpus(gpus), local_rank)


@pytest.mark.parametrize(
    ("wanted", "gpus", "local_rank", "said"),
    [
        ("cuda", 0, 0, "device = cuda, but torch finds no GPU: install a driver and a torch"),
        ("cuda", 2, 2, "process 2 has no GPU of its own, as there are 2: start fewer"),
        ("auto", 1, 1, "process 1 has no GPU of its own, as there are 1: start fewer"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(
    wanted: str, gpus: int, local_rank: int, said: str
) -> None:
    """What is missing is named, and what to do about it."""
    with pytest.raises(ConfigError, match=said):
        choose_device(wanted, Gpus(gpus), local_rank)


@pytest.mark.parametrize(
    ("precision", "bfloat16", "dtype"),
    [
        ("float32", True, torch.float32),
        ("bfloat16", True, torch.bfloat16),
        ("bfloat16", False, torch.bfloat16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
    ],
)
def test_the_precision_on_a_gpu(precision: str, *, bfloat16: bool, dtype: torch.dtype) -> None:
    """`auto` takes bfloat16 where the GPU has it in hardware; else it is what was asked for."""
    config = run_config(precision=precision)
    assert dtype == choose_dtype(config, GPU, Gpus(1, bfloat16))


def test_auto_precision_on_the_cpu_is_the_processors() -> None:
    """bfloat16 where the processor has tiles for it, whatever a GPU beside it has."""
    has_tiles = torch.cpu.get_capabilities().get("amx_bf16", False)
    wanted = torch.bfloat16 if has_tiles else torch.float32
    assert wanted == choose_dtype(run_config(precision="auto"), CPU, Gpus(1, not has_tiles))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_run_in_the_chosen_type(dtype: torch.dtype) -> None:
    """Matrix products of float32 tensors come out in it, and behind it as before."""
    a = torch.ones(2, 2)
    with products_in(dtype, CPU):
        within = a @ a

    assert (dtype, torch.float32) == (within.dtype, (a @ a).dtype)


def test_the_cpu_needs_no_preparation() -> None:
    """Nothing is set for a GPU that is not used."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32

    prepare(CPU)

    assert before == (torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32)
