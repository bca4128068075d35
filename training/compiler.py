"""Whether torch.compile has what it needs here.

Must not know: models, what is compiled.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import torch

from training.errors import MissingError

Find = Callable[[str], object | None]


def check_compiler(
    device: torch.device,
    which: Find = shutil.which,
    find_package: Find = find_spec,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Raise MissingError where torch.compile would find no compiler for the device.

    For the CPU it writes C++, for a GPU Triton's language, whose launchers are C.
    """
    if device.type == "cuda" and find_package("triton") is None:
        raise MissingError("compile = true needs the package triton on a GPU: install it")
    if device.type == "cuda":
        language, variable, usual = "C", "CC", ["clang", "gcc"]
    else:
        language, variable = "C++", "CXX"
        usual = ["clang++" if sys.platform == "darwin" else "g++"]
    names = [environment[variable]] if variable in environment else usual
    if not any(which(name) for name in names):
        raise MissingError(
            f"compile = true needs a {language} compiler, and there is no {' or '.join(names)}: "
            f"install one, or name another in the environment variable {variable}"
        )
