"""Bad input over HTTP: a clear problem, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

JSON = {"content-type": "application/json"}


def kind(answer: httpx.Response) -> tuple[int, str]:
    """Status and kind of a problem, having checked that it is a whole one."""
    assert "application/problem+json" == answer.headers["content-type"]
    problem = answer.json()
    assert answer.status_code == problem["status"]
    assert problem["title"]
    assert problem["detail"]
    return answer.status_code, problem["type"].removeprefix("urn:nextword:problem:")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": "a", "k": 0}, (422, "invalid-request")),
        ({"text": "a", "k": 10_000}, (422, "invalid-request")),
        ({"text": "a", "k": "5"}, (422, "invalid-request")),
        ({"text": 5}, (422, "invalid-request")),
        ({}, (422, "invalid-request")),
        ({"text": "a", "texts": ["b"]}, (422, "invalid-request")),
        ({"texts": []}, (422, "invalid-request")),
        ({"texts": ["a"] * 257}, (422, "invalid-request")),
        ({"text": "a", "colour": "red"}, (422, "invalid-request")),
        ({"text": "a\0b"}, (422, "invalid-text")),
        ({"text": "a", "model": "nobody"}, (404, "unknown-model")),
        ({"text": "a", "model": "../talker"}, (404, "unknown-model")),
        ({"text": "a", "version": 9}, (404, "unknown-version")),
        ({"text": "dog " * 300}, (413, "text-too-long")),
    ],
)
def test_predict_refuses(
    http: httpx.Client, body: dict[str, object], expected: tuple[int, str]
) -> None:
    """Each fault has its own status and kind."""
    assert expected == kind(http.post("/v1/predict", json=body))


@pytest.mark.parametrize(
    "cache",
    [
        True,
        "yes",
        {"size": 5},
        {"size": 0, "theta": 0.3, "share": 0.1},
        {"size": 201, "theta": 0.3, "share": 0.1},
        {"size": 5, "theta": 0, "share": 0.1},
        {"size": 5, "theta": 101, "share": 0.1},
        {"size": 5, "theta": 0.3, "share": 1},
        {"size": 5, "theta": 0.3, "share": 0.1, "colour": 1},
    ],
)
def test_an_impossible_cache_is_refused(http: httpx.Client, cache: object) -> None:
    """No weights of its own, no number, too large, outside their range, unknown."""
    answer = http.post("/v1/sessions", json={"cache": cache})
    assert (422, "invalid-request") == kind(answer)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"text": ', (400, "malformed-json")),
        (b"", (422, "invalid-request")),
        (b"[]", (422, "invalid-request")),
        (b'{"text": "\xff\xfe"}', (400, "malformed-body")),
        (b'{"text": "\\ud800"}', (422, "invalid-text")),
        (b'{"text": "' + b"a" * 30_000 + b'"}', (413, "body-too-large")),
    ],
)
def test_broken_bodies_are_refused(
    http: httpx.Client, content: bytes, expected: tuple[int, str]
) -> None:
    """Malformed JSON, no JSON, no UTF-8, half a surrogate pair, too many bytes."""
    assert expected == kind(http.post("/v1/predict", content=content, headers=JSON))


def test_a_body_of_undeclared_size_is_limited_too(http: httpx.Client) -> None:
    """A chunked body is counted as it comes."""

    def chunks() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 1000

    answer = http.post("/v1/predict", content=chunks(), headers=JSON)
    assert (413, "body-too-large") == kind(answer)


@pytest.mark.parametrize("session_id", ["x", "%00", "A" * 48, "é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("GET", "/predictions"), ("PUT", "/text"), ("POST", "/advance")],
)
def test_unknown_sessions(http: httpx.Client, session_id: str, method: str, path: str) -> None:
    """Every call on a session that never was is a 404."""
    body = {"text": "a"} if method in {"PUT", "POST"} else None
    answer = http.request(method, f"/v1/sessions/{session_id}{path}", json=body)
    assert (404, "unknown-session") == kind(answer)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"token_ids": [34]}, (422, "invalid-token-id")),
        ({"token_ids": [-1]}, (422, "invalid-request")),
        ({"token_ids": [2**70]}, (422, "invalid-token-id")),
        ({"token_ids": []}, (422, "invalid-request")),
        ({"text": ""}, (422, "invalid-text")),
        ({"text": "a", "token_ids": [1]}, (422, "invalid-request")),
        ({}, (422, "invalid-request")),
        ({"text": "a", "at": 7}, (409, "stale-step")),
        ({"text": "a", "at": -1}, (422, "invalid-request")),
        ({"text": "dog " * 300}, (413, "text-too-long")),
    ],
)
def test_a_refused_advance_loses_nothing(
    http: httpx.Client, body: dict[str, object], expected: tuple[int, str]
) -> None:
    """The session stands where it stood, and answers as before."""
    session = http.post("/v1/sessions", json={"text": "Anna saw"}).json()
    path = f"/v1/sessions/{session['id']}"
    assert expected == kind(http.post(f"{path}/advance", json=body))
    assert "Anna saw" == http.get(path).json()["text"]
    assert session["predictions"] == http.get(f"{path}/predictions").json()["predictions"]


def test_a_reused_key_is_refused(http: httpx.Client) -> None:
    """The same Idempotency-Key with another body is a 422."""
    session = http.post("/v1/sessions", json={}).json()["id"]
    path, key = f"/v1/sessions/{session}/advance", {"Idempotency-Key": "one"}
    first = http.post(path, json={"text": "Anna"}, headers=key).json()
    again = http.post(path, json={"text": "Anna"}, headers=key).json()
    assert {**first, "replayed": True} == again
    other = http.post(path, json={"text": "Ben"}, headers=key)
    assert (422, "idempotency-key-reused") == kind(other)


@pytest.mark.parametrize("k", ["0", "10000", "x"])
def test_bad_k_in_a_query(http: httpx.Client, k: str) -> None:
    """A query's k has the same bounds as a body's."""
    session = http.post("/v1/sessions", json={}).json()["id"]
    answer = http.get(f"/v1/sessions/{session}/predictions?k={k}")
    assert (422, "invalid-request") == kind(answer)


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    """Also what no route knows is answered with a problem."""
    assert (404, "not-found") == kind(http.get("/v1/nothing"))
    wrong = http.put("/livez")
    assert (405, "method-not-allowed") == kind(wrong)
    assert "GET" in wrong.headers["allow"]
