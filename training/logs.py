"""A run's logs: lines of JSON, and scalars for TensorBoard where they are wanted.

Both are cut back to the checkpoint when a run goes on, so that no step stands in them twice.
Must not know: models, the training loop.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from training.checkpoint import write_whole
from training.errors import MissingError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

BOARD_FOLDER = "tensorboard"


class Log:
    """One of the run's JSONL logs, a line a validation; without a path nothing is written."""

    def __init__(self, path: Path | None, keep_until: int) -> None:
        """Open a log, and drop its lines of steps behind `keep_until`, the checkpoint's."""
        self._file: IO[str] | None = None
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _step_of(line) <= keep_until]
        write_whole(path, "".join(f"{line}\n" for line in kept).encode())
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def write(self, **values: Any) -> None:
        """Append one line and hand it to the operating system at once."""
        if self._file is not None:
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()


class Board:
    """Scalars for TensorBoard by step; without a folder nothing is written."""

    def __init__(self, folder: Path | None, keep_until: int) -> None:
        """Begin an event file, and void what others hold of steps behind `keep_until`."""
        self._writer: SummaryWriter | None = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=keep_until + 1)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Write out what is left."""
        if self._writer is not None:
            self._writer.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a value to each of the named curves."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Hand all that was written to the operating system, as before a checkpoint."""
        if self._writer is not None:
            self._writer.flush()


def check_board(find_package: Callable[[str], object | None] = find_spec) -> None:
    """Raise MissingError where there is no TensorBoard to write scalars for."""
    if find_package("tensorboard") is None:
        raise MissingError(
            "--tensorboard needs the package tensorboard: pip install 'nextword[tensorboard]'"
        )


def _step_of(line: str) -> float:
    """The step of a log line; infinite where a power cut left only half of it."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf
