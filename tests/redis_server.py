"""A real `redis-server` of a test's own, on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self


class RedisServer:
    """Runs from `with` to the end of its block; can be killed and started again in between."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it with an append-only file, and wait until it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)]
        options += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
        for _ in range(200):
            try:
                if b"PONG" in self._ask(b"PING"):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError((self._folder / "log").read_text())

    def kill(self) -> None:
        """End it as a crash would."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def flush(self) -> None:
        """Forget everything."""
        assert b"OK" in self._ask(b"FLUSHALL")

    def _ask(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
            link.sendall(command + b"\r\n")
            return link.recv(100)
