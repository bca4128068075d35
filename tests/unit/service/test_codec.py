"""A session as bytes: what is refused, and that nothing else is."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.cache import CacheConfig
from service.engine.engine import Engine
from service.engine.runner import Memory
from service.engine.trail import SLACK, Trail
from service.errors import BadStateError, ForeignStateError
from service.sessions.codec import Codec, StateShape
from service.sessions.session import Mark, Session

SHAPE = StateShape(sha256="f" * 64, hidden=16, features=16, tensors=4, vocabulary=34)
CODEC = Codec(b"secret")
CACHE = CacheConfig(size=5, theta=0.4, share=0.3)
_HEADER = struct.Struct("<4sBI")


@pytest.fixture
def session(engine: Engine) -> Session:
    """A session two tokens long."""
    marks = (Mark(0, engine.opening), Mark(2, engine.opening))
    return Session(
        "a", "talker", 1, 1.0, 60.0, 61.0, marks, "Anna saw", "", True, [5, 6], [4, 8], (), 3
    )


def unpack(blob: bytes, engine: Engine, codec: Codec = CODEC) -> Session:
    """Read some bytes as a session of the test's model."""
    return codec.unpack(blob, SHAPE, engine.opening)


def resealed(blob: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change the header and sign it again, as only the secret's owner could."""
    _, version, length = _HEADER.unpack_from(blob)
    header = json.loads(blob[_HEADER.size : _HEADER.size + length])
    change(header)
    text = json.dumps(header).encode()
    data = blob[_HEADER.size + length : -16]
    body = _HEADER.pack(b"NXWS", version, len(text)) + text + data
    return body + CODEC._checksum(body)


def test_packing_is_exact(session: Session, engine: Engine) -> None:
    """Everything but the memories, which are arrays, compares equal."""
    back = unpack(CODEC.pack(session, SHAPE.sha256), engine)
    assert replace(session, marks=()) == replace(back, marks=())
    assert [0, 2] == [mark.position for mark in back.marks]


def test_every_changed_byte_is_noticed(session: Session, engine: Engine) -> None:
    """A flipped bit anywhere is refused."""
    blob = CODEC.pack(session, SHAPE.sha256)
    for at in range(0, len(blob), 7):
        altered = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises(BadStateError):
            unpack(altered, engine)


def test_every_cut_is_noticed(session: Session, engine: Engine) -> None:
    """A state that ends early, or goes on, is refused."""
    blob = CODEC.pack(session, SHAPE.sha256)
    for end in (0, 1, 8, 20, len(blob) // 2, len(blob) - 1):
        with pytest.raises(BadStateError):
            unpack(blob[:end], engine)
    with pytest.raises(BadStateError):
        unpack(blob + b"\0", engine)


def test_another_secret_or_none_is_refused(session: Session, engine: Engine) -> None:
    """A signed state needs its own secret, and a server with one takes no unsigned state."""
    for mine, theirs in ((b"secret", b"other"), (b"", b"secret"), (b"secret", b"")):
        blob = Codec(mine).pack(session, SHAPE.sha256)
        with pytest.raises(BadStateError, match="not signed by this server's secret"):
            unpack(blob, engine, Codec(theirs))


def test_another_model_is_refused(session: Session, engine: Engine) -> None:
    """A state belongs to the weights it was made with."""
    with pytest.raises(ForeignStateError):
        unpack(CODEC.pack(session, "0" * 64), engine)


def test_what_is_no_number_is_refused(session: Session, engine: Engine) -> None:
    """An infinite memory would poison every prediction after it."""
    bad = Memory(tuple(part + np.inf for part in engine.opening.state), engine.opening.hidden)
    spoilt = replace(session, marks=(session.marks[0], Mark(2, bad)))
    with pytest.raises(BadStateError, match="no number"):
        unpack(CODEC.pack(spoilt, SHAPE.sha256), engine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(position=1), "broken"),
        (lambda h: h.update(position=-1), "too short"),
        (lambda h: h.update(position=10**9), "too short"),
        (lambda h: h.update(position=float("inf")), "broken"),
        (lambda h: h.update(idle_ttl_s=float("nan")), "lives for no time"),
        (lambda h: h.update(idle_ttl_s=-1), "lives for no time"),
        (lambda h: h.update(text="Anna saw\0"), "NUL"),
        (lambda h: h.update(text="Anna saw\ud800"), "surrogate"),
        (lambda h: h.update(pending="x"), "does not end its text"),
        (lambda h: h.update(marks=[]), "too long"),
        (lambda h: h.update(marks=[3]), "do not fit its position"),
        (lambda h: h.update(text="Anna"), "do not lie in its text"),
        (lambda h: h.update(past_steps=[{"at": 1}]), "broken"),
        (lambda h: h.pop("pending"), "broken"),
        (lambda h: h.update(created_at_s="soon"), "broken"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(
    session: Session, engine: Engine, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Even a signed one: what is read must be a session."""
    blob = resealed(CODEC.pack(session, SHAPE.sha256), change)
    with pytest.raises(BadStateError, match=message):
        unpack(blob, engine)


@pytest.fixture
def caching(session: Session) -> Session:
    """The same session with a cache."""
    hidden_MD = np.linspace(-1, 1, 32, dtype=np.float16).reshape(2, 16)
    return replace(session, cache=CACHE, trail=Trail(hidden_MD, CACHE.size + SLACK))


def test_a_cache_is_packed_exactly(caching: Session, engine: Engine) -> None:
    """Its weights and its trail."""
    back = unpack(CODEC.pack(caching, SHAPE.sha256), engine)
    assert caching.trail is not None
    assert back.trail is not None
    assert CACHE == back.cache
    assert caching.trail.most == back.trail.most
    assert np.array_equal(caching.trail.hidden_MD, back.trail.hidden_MD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.update(trail=1), "does not fit its cache"),
        (lambda h: h.update(trail=3), "does not fit its cache"),
        (lambda h: h.update(trail=-1), "does not fit its cache"),
        (lambda h: h.update(cache=None), "too long"),
        (lambda h: h["cache"].update(share=1.5), "broken"),
        (lambda h: h["cache"].update(theta=float("inf")), "broken"),
        (lambda h: h.pop("trail"), "broken"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(
    caching: Session, engine: Engine, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """Too short, too long, or with weights that are none."""
    blob = resealed(CODEC.pack(caching, SHAPE.sha256), change)
    with pytest.raises(BadStateError, match=message):
        unpack(blob, engine)


def test_a_trail_of_no_numbers_is_refused(caching: Session, engine: Engine) -> None:
    """It would make every suggestion of the cache a NaN."""
    assert caching.trail is not None
    spoilt = replace(caching.trail, hidden_MD=caching.trail.hidden_MD * np.float16(np.inf))
    with pytest.raises(BadStateError, match="no number"):
        unpack(CODEC.pack(replace(caching, trail=spoilt), SHAPE.sha256), engine)


def test_a_token_outside_the_vocabulary_is_refused(session: Session, engine: Engine) -> None:
    """It would be read by the model on the next rewind."""
    blob = CODEC.pack(replace(session, token_ids=[5, 34]), SHAPE.sha256)
    with pytest.raises(BadStateError, match="outside the vocabulary"):
        unpack(blob, engine)
