"""Crashes and replicas, with real processes and a real Redis server."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.server import Server, run_service
from tests.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A database of this test's own."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def durable(request: pytest.FixtureRequest, models_folder: Path, tmp_path: Path) -> dict[str, str]:
    """The settings of a service whose sessions outlive it."""
    settings = {"NEXTWORD_MODELS": str(models_folder), "NEXTWORD_STORE": request.param}
    if request.param == "sqlite":
        return {**settings, "NEXTWORD_SQLITE_PATH": str(tmp_path / "sessions.db")}
    return {**settings, "NEXTWORD_REDIS_URL": request.getfixturevalue("redis_server").url}


def test_no_acknowledged_step_is_lost_by_kill_9(durable: dict[str, str]) -> None:
    """After a crash the session stands where it stood, and a retry is still recognised."""
    with Server(durable) as server:
        created = httpx.post(f"{server.url}/v1/sessions", json={"text": "Anna"}).json()
        path = f"{server.url}/v1/sessions/{created['id']}"
        step = {"text": "saw", "at": 1}
        answered = httpx.post(f"{path}/advance", json=step).json()
        server.kill()
        server.start()
        again = httpx.post(f"{path}/advance", json=step).json()
        assert {**answered, "replayed": True} == again
        assert "Anna saw" == httpx.get(path).json()["text"]
        typed = httpx.put(f"{path}/text", json={"text": "Anna saw the "}).json()
        alone = httpx.post(f"{server.url}/v1/predict", json={"text": "Anna saw the"}).json()
        assert alone["predictions"] == typed["predictions"]


def test_any_replica_serves_any_session(durable: dict[str, str]) -> None:
    """Of fifty writers of one step over two replicas one wins; the others get its replay or 409."""
    with Server(durable) as one, Server(durable) as other:
        created = httpx.post(f"{one.url}/v1/sessions", json={"text": "Anna"}).json()

        def write(n: int) -> tuple[int, bool | None]:
            url = (one, other)[n % 2].url
            body = {"text": "saw" if n % 10 else "sees", "at": 1}
            answer = httpx.post(f"{url}/v1/sessions/{created['id']}/advance", json=body, timeout=60)
            return answer.status_code, answer.json().get("replayed")

        with ThreadPoolExecutor(50) as pool:
            results = list(pool.map(write, range(50)))
        assert 1 == results.count((200, False))
        assert 49 == results.count((200, True)) + results.count((409, None))
        for server in (one, other):
            held = httpx.get(f"{server.url}/v1/sessions/{created['id']}").json()
            assert 2 == held["position"]


def test_workers_share_sessions_and_are_replaced(durable: dict[str, str]) -> None:
    """Two processes serve one port; when both are killed, new ones go on where they were."""
    with Server({**durable, "NEXTWORD_WORKERS": "2"}) as server:
        created = httpx.post(f"{server.url}/v1/sessions", json={}).json()
        path = f"{server.url}/v1/sessions/{created['id']}"

        def step(at: int, word: str) -> int:
            while True:  # a new connection each time, so that either worker may take it
                with contextlib.suppress(httpx.TransportError):
                    body = {"text": word, "at": at}
                    answer = httpx.post(f"{path}/advance", json=body, timeout=5)
                    assert 200 == answer.status_code, answer.text
                    return answer.json()["position"]
                time.sleep(0.1)

        words = ["Anna", "saw", "the", "dogs", "by", "the", "lake", "near", "the", "gate"]
        for at, word in enumerate(words):
            if at == 5:
                for worker in server.children():
                    os.kill(worker, signal.SIGKILL)
            assert at + 1 == step(at, word)
        assert " ".join(words) == httpx.get(path).json()["text"]
        assert 0 == server.stop()[0]


def test_while_redis_is_away_requests_wait_outside(
    models_folder: Path, redis_server: RedisServer
) -> None:
    """They get 503 with Retry-After; when it is back, everything goes on where it was."""
    settings = {"NEXTWORD_MODELS": str(models_folder), "NEXTWORD_STORE": "redis"}
    with (
        Server({**settings, "NEXTWORD_REDIS_URL": redis_server.url}) as server,
        httpx.Client(base_url=server.url, timeout=30) as http,
    ):
        path = f"/v1/sessions/{http.post('/v1/sessions', json={'text': 'Anna'}).json()['id']}"
        redis_server.kill()
        away = http.put(f"{path}/text", json={"text": "Anna saw "})
        assert (503, "1") == (away.status_code, away.headers["retry-after"])
        assert "urn:nextword:problem:store-away" == away.json()["type"]
        assert 200 == http.post("/v1/predict", json={"text": "Anna"}).status_code
        redis_server.start()
        for _ in range(50):
            back = http.get(path)
            if back.status_code == 200:
                break
        assert "Anna" == back.json()["text"]
        assert 200 == http.put(f"{path}/text", json={"text": "Anna saw "}).status_code


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"NEXTWORD_STORE": "redis", "NEXTWORD_REDIS_URL": "redis://127.0.0.1:1/0"},
            "NEXTWORD_REDIS_URL: the session store cannot be reached",
        ),
        (
            {"NEXTWORD_STORE": "sqlite", "NEXTWORD_SQLITE_PATH": "/nowhere/s.db"},
            "NEXTWORD_SQLITE_PATH=/nowhere/s.db: the session store failed: unable to open",
        ),
    ],
)
def test_a_store_that_is_not_there_is_named(
    models_folder: Path, settings: dict[str, str], message: str
) -> None:
    """The service does not start without the store it was told to use."""
    ended = run_service({"NEXTWORD_MODELS": str(models_folder), **settings}, "--port", "0")
    assert 2 == ended.returncode
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_session_moves_to_another_server(models_folder: Path) -> None:
    """Exported here, imported there, rewound and forked: always the same predictions."""
    settings = {"NEXTWORD_MODELS": str(models_folder), "NEXTWORD_STATE_SECRET": "s"}
    with Server(settings) as here, Server(settings) as there:
        created = httpx.post(f"{here.url}/v1/sessions", json={"text": "Anna saw the dogs"}).json()
        state = httpx.get(f"{here.url}/v1/sessions/{created['id']}/state")
        assert "application/octet-stream" == state.headers["content-type"]
        imported = httpx.post(f"{there.url}/v1/sessions/import", content=state.content)
        assert 201 == imported.status_code
        assert created["predictions"] == imported.json()["predictions"]
        path = f"{there.url}/v1/sessions/{imported.json()['id']}"
        fork = httpx.post(f"{path}/fork").json()
        assert created["predictions"] == fork["predictions"]
        back = httpx.post(f"{path}/rewind", json={"to": 2}).json()
        fresh = httpx.post(f"{here.url}/v1/predict", json={"text": "Anna saw"}).json()
        assert (2, fresh["predictions"]) == (back["position"], back["predictions"])
        broken = httpx.post(f"{there.url}/v1/sessions/import", content=state.content[:-1])
        assert (422, "urn:nextword:problem:bad-state") == (
            broken.status_code,
            broken.json()["type"],
        )
        huge = httpx.post(f"{there.url}/v1/sessions/import", content=bytes(2_000_000))
        assert 413 == huge.status_code
        too_far = httpx.post(f"{path}/rewind", json={"to": 99})
        assert 422 == too_far.status_code
