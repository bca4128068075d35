"""Starting and stopping the service, and what keeps it from starting."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.__main__ import _listen
from tests.e2e.server import Server, run_service


def test_a_port_in_use_is_named() -> None:
    """One line, exit status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_service({}, "--port", str(port))
    assert 2 == ended.returncode
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n" == ended.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"NEXTWORD_MODLE": "x"}, "unknown setting NEXTWORD_MODLE (did you mean NEXTWORD_MODEL?)"),
        ({"NEXTWORD_PROVIDER": "cuda"}, "NEXTWORD_PROVIDER=cuda needs"),
        ({"NEXTWORD_MODELS": "/nowhere"}, "there is no model repository at /nowhere"),
        ({"NEXTWORD_MODEL": "nobody"}, "there is no model 'nobody'"),
        ({"NEXTWORD_MAX_BATCH": "0"}, "NEXTWORD_MAX_BATCH='0'"),
    ],
)
def test_an_impossible_configuration_is_one_clear_line(
    models_folder: Path, settings: dict[str, str], message: str
) -> None:
    """It says what is wrong and exits with status 2, without a traceback."""
    ended = run_service({"NEXTWORD_MODELS": str(models_folder), **settings}, "--port", "0")
    assert 2 == ended.returncode
    [line] = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in ended.stderr


def test_a_broken_bundle_keeps_the_service_from_starting(
    models_folder: Path, tmp_path: Path
) -> None:
    """A flipped byte in the default model is found before the first request."""
    folder = tmp_path / "talker" / "1"
    folder.mkdir(parents=True)
    for file in (models_folder / "talker" / "1").iterdir():
        content = bytearray(file.read_bytes())
        if file.name == "head.onnx":
            content[100] ^= 1
        (folder / file.name).write_bytes(content)
    ended = run_service({"NEXTWORD_MODELS": str(tmp_path)}, "--port", "0")
    assert 2 == ended.returncode
    assert "error: head.onnx is not the file that was saved: its sha256 differs" in ended.stderr


def test_answers_are_not_held_back_by_the_network_stack() -> None:
    """Without TCP_NODELAY every answer on a kept connection takes 40 ms longer."""
    with _listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_stops_when_told_to(models_folder: Path) -> None:
    """SIGTERM ends it in order, and its port is free then."""
    with Server({"NEXTWORD_MODELS": str(models_folder)}) as server:
        assert 200 == httpx.get(f"{server.url}/readyz").status_code
        status, output = server.stop()
    assert 0 == status
    assert output.endswith("nextword stopped\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/readyz")


def test_what_is_in_flight_when_it_is_told_to_stop_is_answered(models_folder: Path) -> None:
    """A long text that is being read gets its answer; what comes later finds nobody."""
    settings = {"NEXTWORD_MODELS": str(models_folder), "NEXTWORD_MAX_BODY_BYTES": "9000000"}
    settings |= {"NEXTWORD_DEADLINE_S": "60", "NEXTWORD_GRACE_S": "60"}
    with Server(settings) as server, ThreadPoolExecutor(1) as pool:
        body = {"texts": ["Anna saw the dogs by the lake. " * 900] * 200}
        answer = pool.submit(httpx.post, f"{server.url}/v1/predict", json=body, timeout=90)
        time.sleep(0.3)
        assert not answer.done()
        status, output = server.stop()
        assert (0, 200) == (status, answer.result().status_code)
    assert output.endswith("nextword stopped\n")


def test_sessions_are_bounded_and_expire(models_folder: Path) -> None:
    """A third of two is told when to come back; an expired one is gone, not unknown."""
    limits = {"NEXTWORD_MAX_SESSIONS": "2", "NEXTWORD_SESSION_IDLE_TTL_S": "2"}
    with (
        Server({"NEXTWORD_MODELS": str(models_folder), **limits}) as server,
        httpx.Client(base_url=server.url) as http,
    ):
        first = http.post("/v1/sessions", json={"ttl_s": 1}).json()["id"]
        http.post("/v1/sessions", json={})
        full = http.post("/v1/sessions", json={})
        assert (503, "5") == (full.status_code, full.headers["retry-after"])
        for _ in range(100):
            answer = http.get(f"/v1/sessions/{first}")
            if answer.status_code != 200:
                break
            time.sleep(0.05)
        assert 410 == answer.status_code
        assert 201 == http.post("/v1/sessions", json={}).status_code
