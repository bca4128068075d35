"""`python -m service`: read the settings, take a port, serve until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence

import uvicorn

from models.errors import BundleError
from service.api.dependencies import Parts
from service.app import create_app
from service.errors import StartError
from service.settings import Settings, read_settings


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
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end it in order, status 0
    try:
        settings = read_settings()
        listener = _listen(parsed.host, parsed.port)
        with listener, contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(settings, listener))
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


async def _serve(settings: Settings, listener: socket.socket) -> None:
    """Load the default model first, so that what is wrong with it is one line and no traceback."""
    app = create_app(settings)
    parts: Parts = app.state.parts
    await parts.fleet.start()
    host, port = listener.getsockname()[:2]
    model = parts.fleet.default_model
    print(f"nextword serves {model} on http://{host}:{port}", flush=True)
    config = uvicorn.Config(app, access_log=False, lifespan="on", log_level="warning")
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
