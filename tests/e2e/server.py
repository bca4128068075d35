"""Starts and stops `python -m service` as a user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parent.parent.parent


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NEXTWORD_")}
    return {**inherited, **settings}


def run_service(settings: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the service expecting it to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env=clean_environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Server:
    """A service that runs from `with` to the end of its block."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it, on the port it had if it ran before."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service", "--port", str(self._port)],
            cwd=ROOT,
            env=clean_environment(self._settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._output: list[str] = []
        while "http://" not in "".join(self._output):
            line = self._process.stdout.readline()
            assert line, f"the service ended: {''.join(self._output)}"
            self._output.append(line)
        self.url = "http://" + self._output[-1].partition("http://")[2].strip()
        self._port = int(self.url.rpartition(":")[2])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.stop()

    def children(self) -> list[int]:
        """The process ids of its workers."""
        pid = self._process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [
            child
            for child in map(int, listed.split())
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> tuple[int, str]:
        """Ask it to end, as an orchestrator does; returns exit status and all that it printed."""
        self._process.send_signal(signal.SIGTERM)
        rest, _ = self._process.communicate(timeout=90)
        return self._process.returncode, "".join(self._output) + rest
