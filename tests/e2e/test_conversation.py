"""A conversation over HTTP, as the README shows it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest


def words(answer: httpx.Response) -> list[str]:
    """The suggested words of an answer."""
    return [prediction["word"] for prediction in answer.json()["predictions"]]


def test_a_session_from_beginning_to_end(http: httpx.Client) -> None:
    """Open, type, complete, choose, look, delete."""
    created = http.post("/v1/sessions", json={"text": "Anna saw", "k": 3})
    session = created.json()
    assert 201 == created.status_code
    assert ["expires_at", "id", "model", "pending", "position", "predictions", "version"] == sorted(
        session
    )
    assert ("talker", 2, 2, "") == tuple(
        session[key] for key in ("model", "version", "position", "pending")
    )
    assert 3 == len(session["predictions"])
    base = f"/v1/sessions/{session['id']}"

    typed = http.put(f"{base}/text", json={"text": "Anna saw th"})
    assert {"id": session["id"], "position": 2, "pending": "th"} == {
        key: value for key, value in typed.json().items() if key != "predictions"
    }
    assert ["the"] == words(typed)

    chosen = http.post(f"{base}/advance", json={"text": "the", "at": 2})
    assert (3, False) == (chosen.json()["position"], chosen.json()["replayed"])
    assert words(chosen) == words(http.get(f"{base}/predictions"))
    assert all(w[0] in "dD" for w in words(http.get(f"{base}/predictions?k=3&prefix=D")))

    described = http.get(base).json()
    assert ("Anna saw the", 3) == (described["text"], described["position"])
    assert 204 == http.delete(base).status_code
    assert 404 == http.get(base).status_code


def test_a_session_with_a_cache_offers_a_name_again(http: httpx.Client) -> None:
    """By its own spelling, though the vocabulary does not hold it."""
    cache = {"size": 20, "theta": 0.3, "share": 0.2}
    for asked, found, kept in ((cache, ["Zorro"], cache), (False, [], None), (None, [], None)):
        body = {"text": "Anna saw Zorro.", "cache": asked}
        base = f"/v1/sessions/{http.post('/v1/sessions', json=body).json()['id']}"
        assert found == words(http.put(f"{base}/text", json={"text": "Anna saw Zorro. Zor"}))
        assert kept == http.get(base).json()["cache"]


def test_marks_are_suggested_on_request(http: httpx.Client) -> None:
    """Over all calls that suggest; without asking for them there are none."""
    session = http.post("/v1/sessions", json={"k": 100, "punctuation": True}).json()
    base = f"/v1/sessions/{session['id']}"
    ask = {"k": 100, "punctuation": True}
    answers = [
        http.put(f"{base}/text", json={"text": "Anna ", **ask}),
        http.post(f"{base}/advance", json={"text": "saw", **ask}),
        http.post(f"{base}/rewind", json={"to": 1, **ask}),
        http.post(f"{base}/fork?k=100&punctuation=true"),
        http.get(f"{base}/predictions?k=100&punctuation=true"),
    ]
    assert "." in [prediction["word"] for prediction in session["predictions"]]
    assert all("." in words(answer) for answer in answers)
    assert "." not in words(http.get(f"{base}/predictions?k=100"))


def test_predictions_are_words_with_their_own_probability(http: httpx.Client) -> None:
    """Sorted, no surrounding space, `prob` the exponential of `logprob`, five by default."""
    found = http.post("/v1/predict", json={"text": "Anna saw the"}).json()["predictions"]
    assert 5 == len(found)
    assert sorted((p["logprob"] for p in found), reverse=True) == [p["logprob"] for p in found]
    for prediction in found:
        assert prediction["word"] == prediction["word"].strip()
        assert re.search(r"\w", prediction["word"])
        assert pytest.approx(2.718281828 ** prediction["logprob"], rel=1e-6) == prediction["prob"]


def test_stateless_and_stateful_agree(http: httpx.Client) -> None:
    """The same words in a session, in one text and in several give the same answer."""
    text = "Ben saw the cats near"
    session = http.post("/v1/sessions", json={"text": text}).json()["predictions"]
    one = http.post("/v1/predict", json={"text": text}).json()["predictions"]
    several = http.post("/v1/predict", json={"texts": ["Anna", text]}).json()["predictions"]
    assert session == one == several[1]


def test_an_older_version_answers_differently(http: httpx.Client) -> None:
    """A version can be named; the newest is the default."""
    body = {"text": "Anna saw the", "model": "talker"}
    newest = http.post("/v1/predict", json=body).json()
    older = http.post("/v1/predict", json={**body, "version": 1}).json()
    assert (2, 1) == (newest["version"], older["version"])
    assert newest["predictions"] != older["predictions"]


def test_models_and_health(http: httpx.Client) -> None:
    """The list is in OpenAI's shape; both probes are green; the API describes itself."""
    [model] = http.get("/v1/models").json()["data"]
    assert ("talker", "model", [1, 2]) == (model["id"], model["object"], model["versions"])
    assert 200 == http.get("/livez").status_code
    assert 200 == http.get("/readyz").status_code
    assert "/v1/sessions/{session_id}/text" in http.get("/openapi.json").json()["paths"]


def test_many_typists_at_once_get_what_each_would_get_alone(http: httpx.Client) -> None:
    """Forty sessions typed in parallel, each answer equal to the stateless one."""
    texts = [f"{name} saw the {noun} by" for name in ("Anna", "Ben") for noun in ("dog", "cats")]

    def type_out(text: str) -> list[dict[str, object]]:
        session = http.post("/v1/sessions", json={}).json()["id"]
        typed = ""
        for word in text.split():
            typed += word + " "
            answer = http.put(f"/v1/sessions/{session}/text", json={"text": typed})
        return answer.json()["predictions"]

    alone = [http.post("/v1/predict", json={"text": text}).json()["predictions"] for text in texts]
    with ThreadPoolExecutor(10) as pool:
        assert alone * 10 == list(pool.map(type_out, texts * 10))
