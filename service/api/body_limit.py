"""Refuses request bodies over a limit before anything is made of them.

Plain ASGI: Starlette's BaseHTTPMiddleware halves the throughput.
Must not know: what is in a body.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import service_problem
from service.errors import BodyTooLargeError


class BodyLimit:
    """Reads each body up to a limit, then hands it on whole."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        """Stand before `app`."""
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 where the body is too large, declared or not; else pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        received, more = 0, True
        too_large = _declared_size(scope) > self._max_bytes
        while more and not too_large:
            message = await receive()
            messages.append(message)
            more = message.get("more_body", False)
            received += len(message.get("body", b""))
            too_large = received > self._max_bytes
        if too_large:
            error = BodyTooLargeError(f"the body is over {self._max_bytes} bytes")
            await service_problem(error)(scope, receive, send)
            return
        replay = iter(messages)

        async def receive_again() -> Message:
            message = next(replay, None)
            return await receive() if message is None else message

        await self._app(scope, receive_again, send)


def _declared_size(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
