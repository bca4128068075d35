"""`WS /v1/sessions/{id}/live`: a text box as a stream of its states, where the newest one wins.

One task reads, one loop works. Between them is room for a single frame: a newer one takes the
place of the one that waits, and so does the end of the connection. A step that has begun is never
broken off, as it is not over HTTP either.
Must not know: how steps are run or kept, when sessions end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from service.api.dependencies import Parts
from service.api.problems import problem_of
from service.api.schemas import TextBody, step_out
from service.errors import ExpiredSessionError, StoppingError, UnknownSessionError

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

CLOSE_CODES: dict[type[Exception], int] = {
    UnknownSessionError: 4404,
    ExpiredSessionError: 4410,
    StoppingError: status.WS_1012_SERVICE_RESTART,
}
"""The refusals that end a connection; after all others it stays open."""

_MAX_REASON_BYTES = 123  # RFC 6455, section 5.5
_GONE = (WebSocketDisconnect, RuntimeError)
"""What sending raises once a connection is closed: by the client, or by the server itself."""


class Frame(TextBody):
    """What a client sends: the whole text so far; `seq` comes back in its answer."""

    seq: int | None = None


@dataclass(frozen=True)
class _End:
    """Why a connection is to be closed."""

    code: int
    reason: str


@router.websocket("/{session_id}/live")
async def live(socket: WebSocket, session_id: str) -> None:
    """Answer frames with what `PUT text` answers; skip those that newer ones overtook."""
    await socket.accept()  # before anything is refused: only then browsers see why
    parts: Parts = socket.app.state.parts
    if parts.live >= parts.settings.max_live:
        end = _End(status.WS_1013_TRY_AGAIN_LATER, f"all {parts.live} live connections are taken")
    else:
        parts.live += 1
        try:
            end = await _serve(_Connection(socket, session_id))
        finally:
            parts.live -= 1
    reason = end.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
    with contextlib.suppress(*_GONE):
        await socket.close(end.code, reason)


async def _serve(connection: _Connection) -> _End:
    """Read and work side by side until either ends; returns why."""
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(connection.read())
        end = await connection.work()
        reader.cancel()
    return end


class _Connection:
    """One client of one session."""

    def __init__(self, socket: WebSocket, session_id: str) -> None:
        parts: Parts = socket.app.state.parts
        self._socket = socket
        self._session_id = session_id
        self._keeper = parts.keeper
        self._max_bytes = parts.settings.max_body_bytes
        self._newest: asyncio.Queue[str | _End] = asyncio.Queue(maxsize=1)

    async def read(self) -> None:
        """Put each frame where the worker takes it, and at last what ended the connection."""
        come: str | _End = ""
        while isinstance(come, str):
            come = await self._receive()
            if self._newest.full():
                self._newest.get_nowait()
            self._newest.put_nowait(come)

    async def _receive(self) -> str | _End:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return _End(status.WS_1000_NORMAL_CLOSURE, "")
        text: str | None = message.get("text")
        if text is None:
            return _End(status.WS_1003_UNSUPPORTED_DATA, "frames are text")
        if len(text.encode()) > self._max_bytes:
            return _End(status.WS_1009_MESSAGE_TOO_BIG, f"a frame is over {self._max_bytes} bytes")
        return text

    async def work(self) -> _End:
        """Answer the newest frame again and again; returns what ended that."""
        try:
            await self._keeper.describe(self._session_id)
            while isinstance(come := await self._newest.get(), str):
                answer = await self._answer(come)
                with contextlib.suppress(*_GONE):  # the reader hears of it too, and ends this
                    await self._socket.send_json(answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
            code = CLOSE_CODES.get(type(error), status.WS_1011_INTERNAL_ERROR)
            return _End(code, problem_of(error).detail)
        return come

    async def _answer(self, text: str) -> dict[str, object]:
        """The answer to a frame, or the problem with it; raises what ends the connection."""
        echo: dict[str, object] = {}
        try:
            content = _parse(text)
            echo = _echo(content)
            frame = _check(content)
            session, answer = await self._keeper.sync_text(
                self._session_id, frame.text, frame.ask()
            )
        except tuple(CLOSE_CODES):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this frame's answer
            return problem_of(error).members | echo
        return step_out(session.id, answer).model_dump() | echo


def _parse(text: str) -> object:
    """JSON as a body's is read, so that both channels refuse the same."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        fault = {"type": "json_invalid", "loc": ("frame",), "msg": str(error)}
        raise RequestValidationError([fault]) from error


def _echo(content: object) -> dict[str, object]:
    """What a client wants back to match answers, refusals too."""
    seq = content.get("seq") if isinstance(content, dict) else None
    return {"seq": seq} if type(seq) is int else {}


def _check(content: object) -> Frame:
    try:
        return Frame.model_validate(content)
    except ValidationError as error:
        faults = [{**fault, "loc": ("frame", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
