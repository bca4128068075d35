"""The live channel of a real service, with a real client of WebSockets."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.e2e.server import Server


def open_live(server_url: str, session_id: str) -> ClientConnection:
    """A connection to a session's live channel."""
    address = httpx.URL(server_url)
    connection = socket.create_connection((address.host, address.port))  # past any proxy
    uri = f"ws://{address.host}:{address.port}/v1/sessions/{session_id}/live"
    return connect(uri, sock=connection)


def ask(live: ClientConnection, **frame: object) -> dict[str, object]:
    """Send one frame and wait for its answer."""
    live.send(json.dumps(frame))
    return json.loads(live.recv(timeout=20))


def closed(live: ClientConnection) -> tuple[int, str]:
    """Code and reason with which the server closes, after any answers."""
    try:
        while True:
            live.recv(timeout=20)
    except ConnectionClosed as ended:
        return ended.rcvd.code, ended.rcvd.reason


def cut(live: ClientConnection) -> None:
    """Break a connection as a lost network does: no goodbye, only a reset."""
    live.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    live.socket.shutdown(socket.SHUT_RDWR)  # wakes the client's thread, which would hold it open
    live.socket.close()


@pytest.fixture
def session(http: httpx.Client) -> str:
    """The id of a new session."""
    return http.post("/v1/sessions", json={}).json()["id"]


@pytest.fixture
def live(server: Server, session: str) -> Iterator[ClientConnection]:
    """A connection to the new session."""
    with open_live(server.url, session) as live:
        yield live


def test_typing_is_answered_as_put_text_answers(
    http: httpx.Client, live: ClientConnection, session: str
) -> None:
    """Letter by letter, a correction, a `k`: the very JSON of PUT text."""
    typed = ["A", "An", "Anna", "Anna ", "Anna s", "Anna saw th", "Anna sa", "Ben saw the ", ""]
    for text in typed:
        answer = ask(live, text=text, k=3)
        put = http.put(f"/v1/sessions/{session}/text", json={"text": text, "k": 3})
        assert put.json() == answer
    assert 5 == len(ask(live, text="Anna saw the ")["predictions"])
    assert "Anna saw the " == http.get(f"/v1/sessions/{session}").json()["text"]


def test_a_seq_comes_back(live: ClientConnection) -> None:
    """With the answer, with a refusal, and not where none was sent."""
    assert 7 == ask(live, text="Anna ", seq=7)["seq"]
    refused = ask(live, text="Anna ", seq=8, k=0)
    assert (422, 8) == (refused["status"], refused["seq"])
    assert "seq" not in ask(live, text="Anna ")


def test_a_fast_typist_gets_the_newest_answer(live: ClientConnection) -> None:
    """Of a burst the last frame is always answered, others in their order or not at all."""
    burst, last = [f"Anna saw the {'dog ' * (n % 30)}" for n in range(500)], 499
    for seq, text in enumerate(burst):
        live.send(json.dumps({"text": text, "seq": seq}))
    answered = []
    while last not in answered:
        answer = json.loads(live.recv(timeout=20))
        answered.append(answer["seq"])
    assert sorted(set(answered)) == answered
    assert len(answered) < len(burst)
    assert answer == ask(live, text=burst[last], seq=last)


@pytest.mark.parametrize(
    ("frame", "status", "kind"),
    [
        ('{"text": ', 400, "malformed-json"),
        ("", 400, "malformed-json"),
        ("[" * 9000, 400, "malformed-json"),
        ("[]", 422, "invalid-request"),
        ("{}", 422, "invalid-request"),
        ('{"text": 5}', 422, "invalid-request"),
        ('{"text": "a", "k": 0}', 422, "invalid-request"),
        ('{"text": "a", "k": "5"}', 422, "invalid-request"),
        ('{"text": "a", "seq": "1"}', 422, "invalid-request"),
        ('{"text": "a", "seq": true}', 422, "invalid-request"),
        ('{"text": "a", "colour": "red"}', 422, "invalid-request"),
        ('{"text": "a", "\\ud800": "red"}', 422, "invalid-request"),
        ('{"text": "a\\u0000b"}', 422, "invalid-text"),
        ('{"text": "\\ud800"}', 422, "invalid-text"),
        (json.dumps({"text": "dog " * 300}), 413, "text-too-long"),
    ],
)
def test_a_refused_frame_is_a_problem_and_no_end(
    live: ClientConnection, frame: str, status: int, kind: str
) -> None:
    """The session stands where it stood, and the connection goes on."""
    before = ask(live, text="Anna saw th")
    live.send(frame)
    problem = json.loads(live.recv(timeout=20))
    assert {"type", "title", "status", "detail"} == problem.keys()
    assert (status, f"urn:nextword:problem:{kind}") == (problem["status"], problem["type"])
    assert before == ask(live, text="Anna saw th")


def test_a_frame_and_a_body_are_refused_alike(
    http: httpx.Client, live: ClientConnection, session: str
) -> None:
    """What the service itself refuses is the same document on both channels."""
    for text in ("dog " * 300, "a\0b"):
        put = http.put(f"/v1/sessions/{session}/text", json={"text": text})
        assert put.json() == ask(live, text=text)


@pytest.mark.parametrize("session_id", ["x", "%00", "A" * 48, "%C3%A9"])
def test_an_unknown_session_is_closed_after_it_was_accepted(
    server: Server, session_id: str
) -> None:
    """A browser sees the code only so."""
    with open_live(server.url, session_id) as live:
        assert (4404, "there is no such session") == closed(live)


def test_a_session_deleted_meanwhile(
    http: httpx.Client, live: ClientConnection, session: str
) -> None:
    """The next frame finds that it is gone."""
    ask(live, text="Anna ")
    http.delete(f"/v1/sessions/{session}")
    live.send('{"text": "Anna saw "}')
    assert 4404 == closed(live)[0]


def test_binary_frames_are_not_spoken_here(live: ClientConnection) -> None:
    """1003, even where the bytes were JSON."""
    live.send(b'{"text": "Anna "}')
    assert 1003 == closed(live)[0]


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_frame_over_the_limit_closes(
    http: httpx.Client, live: ClientConnection, session: str, pieces: int
) -> None:
    """1009, whole or in fragments; the session stays as it was."""
    ask(live, text="Anna ")
    frame = json.dumps({"text": "a" * 21_000})
    size = len(frame) // pieces + 1
    with contextlib.suppress(ConnectionClosed):  # perhaps before all of it was sent
        live.send(frame[at : at + size] for at in range(0, len(frame), size))
    assert 1009 == closed(live)[0]
    assert "Anna " == http.get(f"/v1/sessions/{session}").json()["text"]


def test_a_second_connection_goes_on(server: Server, live: ClientConnection, session: str) -> None:
    """After a goodbye, after a cut, and beside a first that is still there."""
    cut(live)
    with open_live(server.url, session) as second:
        assert 2 == ask(second, text="Anna saw th")["position"]
    with open_live(server.url, session) as third, open_live(server.url, session) as fourth:
        assert 3 == ask(third, text="Anna saw the ")["position"]
        assert 4 == ask(fourth, text="Anna saw the dog ")["position"]
        assert 3 == ask(third, text="Anna saw the ")["position"]


def test_clients_that_vanish_in_mid_step_harm_nobody(models_folder: Path) -> None:
    """Cut again and again with steps under way, a session answers as a fresh one does."""
    with (
        Server({"NEXTWORD_MODELS": str(models_folder)}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        session, fresh = (http.post("/v1/sessions", json={}).json()["id"] for _ in range(2))
        for n in range(40):
            live = open_live(server.url, session)
            live.send(json.dumps({"text": "Ben saw the dog " * (400 - n)}))
            live.send(json.dumps({"text": "Anna saw the cats " * (400 - n)}))
            cut(live)
        text = {"text": "Anna saw the d"}
        expected = http.put(f"/v1/sessions/{fresh}/text", json=text).json()
        answer = http.put(f"/v1/sessions/{session}/text", json=text).json()
        status, output = server.stop()
    assert {**expected, "id": session} == answer
    assert (0, ["nextword stopped"]) == (status, output.splitlines()[1:])


def test_a_silent_connection_keeps_no_session_alive(models_folder: Path) -> None:
    """Connected all the time, but nothing typed: it expires, and the next frame is told so."""
    with (
        Server({"NEXTWORD_MODELS": str(models_folder)}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        session = http.post("/v1/sessions", json={"ttl_s": 0.5}).json()["id"]
        with open_live(server.url, session) as live:
            assert 1 == ask(live, text="Anna ")["position"]
            time.sleep(0.6)
            live.send('{"text": "Anna saw "}')
            assert (4410, "the session's time is over") == closed(live)
        with open_live(server.url, session) as late:
            assert 4410 == closed(late)[0]


def test_a_stopping_server_says_that_it_restarts(models_folder: Path) -> None:
    """1012 for every client; nobody holds the stop up, and nothing is logged."""
    with (
        Server({"NEXTWORD_MODELS": str(models_folder)}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        session = http.post("/v1/sessions", json={}).json()["id"]
        with open_live(server.url, session) as idle, open_live(server.url, session) as busy:
            busy.send(json.dumps({"text": "Ben saw the dog " * 2000}))
            status, output = server.stop()
            assert [1012, 1012] == [closed(idle)[0], closed(busy)[0]]
    assert (0, ["nextword stopped"]) == (status, output.splitlines()[1:])


def test_live_connections_are_bounded(models_folder: Path) -> None:
    """A second of one is told to try again later; when the first has left there is room."""
    settings = {"NEXTWORD_MODELS": str(models_folder), "NEXTWORD_MAX_LIVE": "1"}
    with Server(settings) as server:
        session = httpx.post(f"{server.url}/v1/sessions", json={}).json()["id"]
        with open_live(server.url, session) as first:
            ask(first, text="Anna")
            with open_live(server.url, session) as second:
                assert (1013, "all 1 live connections are taken") == closed(second)
            assert "Anna" == ask(first, text="Anna")["pending"]
        for _ in range(100):
            with open_live(server.url, session) as third, contextlib.suppress(ConnectionClosed):
                assert "Ben" == ask(third, text="Ben")["pending"]
                break
            time.sleep(0.05)
        else:
            pytest.fail("the place was never free again")
