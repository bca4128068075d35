"""The live channel with a session that answers only when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from fastapi import WebSocket

from service.api.live import live
from service.engine.decode import Ask
from service.errors import OverloadedError, StoppingError, UnknownSessionError
from service.sessions.session import Answer

ANSWER = {"id": "s", "position": 1, "pending": "", "predictions": []}


class SlowKeeper:
    """Keeps one session; each step waits for `go`, and fails where the text is an error."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.finished: list[str] = []
        self.go = asyncio.Semaphore(0)
        self.errors: dict[str, Exception] = {}
        self.described: Exception | None = None

    async def describe(self, session_id: str) -> SimpleNamespace:
        if self.described is not None:
            raise self.described
        return SimpleNamespace(id=session_id)

    async def sync_text(
        self, session_id: str, text: str, ask: Ask
    ) -> tuple[SimpleNamespace, Answer]:
        self.texts.append(text)
        await self.go.acquire()
        if text in self.errors:
            raise self.errors[text]
        self.finished.append(text)
        return SimpleNamespace(id=session_id), Answer(1, "", [])


class Client:
    """The other end: what it sends is queued, what it gets is listed."""

    def __init__(self, keeper: SlowKeeper) -> None:
        self._come: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        self.got: list[dict[str, object]] = []
        self.gone = False
        settings = SimpleNamespace(max_body_bytes=100, max_live=1)
        parts = SimpleNamespace(keeper=keeper, settings=settings, live=0)
        scope = {"type": "websocket", "app": SimpleNamespace(state=SimpleNamespace(parts=parts))}
        self.socket = WebSocket(scope, self._come.get, self._send)
        self._come.put_nowait({"type": "websocket.connect"})

    async def _send(self, message: dict[str, object]) -> None:
        if self.gone:
            raise OSError
        self.got.append(message)

    async def send(self, *frames: str | bytes) -> None:
        """Send frames, and let the server take them."""
        for frame in frames:
            kind = "text" if isinstance(frame, str) else "bytes"
            self._come.put_nowait({"type": "websocket.receive", kind: frame})
        await settle()

    async def leave(self) -> None:
        """Be gone without a word."""
        self.gone = True
        self._come.put_nowait({"type": "websocket.disconnect", "code": 1005})
        await settle()

    @property
    def answers(self) -> list[dict[str, object]]:
        """The frames that came back."""
        return [json.loads(m["text"]) for m in self.got if m["type"] == "websocket.send"]

    @property
    def close(self) -> tuple[int, str]:
        """Code and reason that came last."""
        assert "websocket.close" == self.got[-1]["type"]
        return self.got[-1]["code"], self.got[-1]["reason"]


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def frame(text: str, **members: object) -> str:
    """A frame."""
    return json.dumps({"text": text, **members})


@asynccontextmanager
async def connected(keeper: SlowKeeper) -> AsyncIterator[Client]:
    """A client whose connection must have ended of itself at the end of the block."""
    client = Client(keeper)
    serving = asyncio.create_task(live(client.socket, "s"))
    await settle()
    yield client
    await asyncio.wait_for(serving, 5)


@pytest.fixture
async def keeper() -> SlowKeeper:
    """A session whose steps wait."""
    return SlowKeeper()


async def test_only_the_newest_frame_waits(keeper: SlowKeeper) -> None:
    """While the first is worked on, the last of a hundred takes the place of all others."""
    async with connected(keeper) as client:
        await client.send(frame("0", seq=0))
        await client.send(*(frame(str(n), seq=n) for n in range(1, 101)))
        assert ["0"] == keeper.texts
        keeper.go.release()
        keeper.go.release()
        await settle()
        await client.leave()
    assert ["0", "100"] == keeper.texts
    assert [{**ANSWER, "seq": 0}, {**ANSWER, "seq": 100}] == client.answers


async def test_a_waiting_frame_that_is_no_good_is_skipped_too(keeper: SlowKeeper) -> None:
    """Only frames whose turn comes are looked at."""
    async with connected(keeper) as client:
        await client.send(frame("0"))
        await client.send("{", frame("1", k=0), frame("2"))
        keeper.go.release()
        keeper.go.release()
        await settle()
        await client.leave()
    assert [ANSWER, ANSWER] == client.answers


async def test_a_step_outlives_its_client(keeper: SlowKeeper) -> None:
    """What is under way is finished; what waited is dropped; nothing is raised."""
    async with connected(keeper) as client:
        await client.send(frame("begun"))
        await client.send(frame("waiting"))
        await client.leave()
        keeper.go.release()
    assert ["begun"] == keeper.finished == keeper.texts
    assert [] == client.answers


async def test_overload_is_a_problem_and_stays_open(keeper: SlowKeeper) -> None:
    """The same frame may be sent again on the same connection."""
    keeper.errors["a"] = OverloadedError("too many steps are waiting")
    async with connected(keeper) as client:
        keeper.go.release()
        await client.send(frame("a", seq=1))
        del keeper.errors["a"]
        keeper.go.release()
        await client.send(frame("a", seq=2))
        await client.leave()
    refused, answer = client.answers
    assert {
        "type": "urn:nextword:problem:overloaded",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "too many steps are waiting",
        "seq": 1,
    } == refused
    assert {**ANSWER, "seq": 2} == answer


async def test_an_error_of_our_own_is_logged_and_a_problem(
    keeper: SlowKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns that, not what."""
    keeper.errors["a"] = KeyError("secret")
    async with connected(keeper) as client:
        keeper.go.release()
        await client.send(frame("a"))
        await client.leave()
    [problem] = client.answers
    assert (500, "urn:nextword:problem:internal") == (problem["status"], problem["type"])
    assert "secret" not in json.dumps(problem)
    assert "secret" in caplog.text


async def test_a_stopping_engine_closes(keeper: SlowKeeper) -> None:
    """1012: come again, somebody will be here."""
    keeper.errors["a"] = StoppingError("the server is shutting down")
    async with connected(keeper) as client:
        keeper.go.release()
        await client.send(frame("a"))
    assert (1012, "the server is shutting down") == client.close


async def test_a_broken_look_up_closes(
    keeper: SlowKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    """1011 where not even the session can be looked up."""
    keeper.described = KeyError("secret")
    async with connected(keeper) as client:
        pass
    assert (1011, "something went wrong here; it was logged") == client.close
    assert "secret" in caplog.text


async def test_a_long_reason_is_cut(keeper: SlowKeeper) -> None:
    """A close frame has room for 123 bytes."""
    keeper.described = UnknownSessionError("é" * 100)
    async with connected(keeper) as client:
        pass
    assert (4404, "é" * 61) == client.close


@pytest.mark.parametrize(("sent", "code"), [(b"{}", 1003), ('{"text": "' + "é" * 50 + '"}', 1009)])
async def test_an_impossible_frame_closes_after_the_answer_under_way(
    keeper: SlowKeeper, sent: str | bytes, code: int
) -> None:
    """Binary, or more bytes than a body may have; it is last, so it waits for the first."""
    async with connected(keeper) as client:
        await client.send(frame("a"))
        await client.send(sent, frame("never"))
        keeper.go.release()
    assert [ANSWER] == client.answers
    assert code == client.close[0]
    assert ["a"] == keeper.texts
