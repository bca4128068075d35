"""`python -m training`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from training.cli import main


def leave(status: int) -> NoReturn:
    """End this process with an exit status, all output written.

    One of several (torchrun sets WORLD_SIZE) ends at once, without the destructors of torch's C++
    threads: these abort one run in thirty or so ("terminate called without an active exception";
    torch 2.13, gloo), whereupon torchrun ends the first process, which may still be writing.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(status)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
