"""`python -m service`: read the settings, take a port, serve until told to stop."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from models.errors import BundleError
from service.errors import StartError
from service.server import check, serve
from service.settings import read_settings
from service.workers import Workers

# A live connection is pinged so often, and closed where no pong comes back for so long.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service; returns the exit status, 2 where it cannot be started."""
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="The next-word service. Settings are NEXTWORD_* environment variables: "
        "see service/README.md.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parsed = parser.parse_args(arguments)

    def announce(model: str) -> None:
        host, port = listener.getsockname()[:2]
        print(f"nextword serves {model} on http://{host}:{port}", flush=True)

    try:
        settings = read_settings()
        with _listen(parsed.host, parsed.port) as listener:
            if settings.workers == 1:
                serve(settings, listener, announce)
            else:
                check(settings, announce)
                Workers(settings.workers, serve, settings, listener).run()
        print("nextword stopped", flush=True)
    except (StartError, BundleError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Take the port; StartError where somebody has it, before any model is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
        raise StartError(f"cannot listen on {host}:{port}: {reason}") from error
    # Connections inherit this. Event loops set it only on sockets they made themselves, and without
    # it an answer's body waits 40 ms for its headers to be acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    sys.exit(main())
