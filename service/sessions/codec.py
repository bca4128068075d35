"""A session as bytes, for stores and for moving it between servers.

    magic "NXWS" | format u8 | header length u32 | header (JSON) | arrays | checksum 16

Numbers are little-endian. The header says which model the state belongs to (the bundle's sha256);
the arrays are ids and ends (int32), marks (float32) and a cache's trail (float16). The checksum is
blake2b over all before it, keyed with a secret where there is one, so that altered, cut and foreign
bytes are refused and nothing is unpickled.
Must not know: stores, HTTP, clocks.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.cache import CacheConfig
from models.errors import TextError
from models.text import check_text
from service.engine.decode import Prediction
from service.engine.runner import Memory
from service.engine.trail import Trail
from service.errors import BadStateError, ForeignStateError
from service.sessions.session import Answer, Mark, PastStep, Session

MAGIC = b"NXWS"
FORMAT = 1
_PREFIX = struct.Struct("<4sBI")
_CHECKSUM_BYTES = 16
_FAULTS = (KeyError, TypeError, ValueError, OverflowError, TextError)
"""What reading a header raises that says other things than a session's."""
_PACKED_MARKS = 3
"""Recent memories that go along; older positions are replayed."""


@dataclass(frozen=True)
class StateShape:
    """What a model's memory looks like, and which model it is."""

    sha256: str
    hidden: int
    features: int
    tensors: int
    vocabulary: int


class Codec:
    """Packs and unpacks sessions of one secret."""

    def __init__(self, secret: bytes = b"") -> None:
        """Sign with `secret`; with none the checksum only tells damage."""
        self._secret = secret

    def pack(self, session: Session, sha256: str) -> bytes:
        """A session as bytes, bound to the model of this hash."""
        marks = session.marks[1:][-_PACKED_MARKS:]
        header = {
            "sha256": sha256,
            "id": session.id,
            "model": session.model,
            "version": session.version,
            "created_at_s": session.created_at_s,
            "idle_ttl_s": session.idle_ttl_s,
            "expires_at_s": session.expires_at_s,
            "text": session.text,
            "pending": session.pending,
            "spaced": session.spaced,
            "revision": session.revision,
            "position": session.position,
            "marks": [mark.position for mark in marks],
            "past_steps": [asdict(step) for step in session.past_steps],
            "cache": session.cache and session.cache.model_dump(),
            "trail": 0 if session.trail is None else len(session.trail),
        }
        text = json.dumps(header, ensure_ascii=False).encode()
        parts = [_PREFIX.pack(MAGIC, FORMAT, len(text)), text]
        parts += [np.asarray(n, "<i4").tobytes() for n in (session.token_ids, session.ends)]
        parts += [part.astype("<f4").tobytes() for mark in marks for part in _arrays(mark.memory)]
        if session.trail is not None:
            parts.append(session.trail.hidden_MD.astype("<f2").tobytes())
        body = b"".join(parts)
        return body + self._checksum(body)

    def model_of(self, blob: bytes) -> tuple[str, int, str]:
        """Model, version and bundle hash that a packed session names; BadStateError if broken."""
        header, _ = self._open(blob)
        try:
            return str(header["model"]), int(header["version"]), str(header["sha256"])
        except _FAULTS as error:
            raise BadStateError(f"the state's header is broken: {error}") from error

    def unpack(self, blob: bytes, shape: StateShape, opening: Memory) -> Session:
        """The session in some bytes.

        Raises BadStateError where they are cut, altered, unsigned or hold what is no number, and
        ForeignStateError where they belong to another model than `shape`.
        """
        header, data = self._open(blob)
        if header.get("sha256") != shape.sha256:
            raise ForeignStateError("the state belongs to another model than the one served here")
        try:
            return _session(header, _Reader(data), shape, opening)
        except _FAULTS as error:
            raise BadStateError(f"the state is broken: {error}") from error

    def _open(self, blob: bytes) -> tuple[dict[str, Any], bytes]:
        body, checksum = blob[:-_CHECKSUM_BYTES], blob[-_CHECKSUM_BYTES:]
        if len(body) < _PREFIX.size or body[:4] != MAGIC:
            raise BadStateError("these bytes are no nextword state")
        _, version, length = _PREFIX.unpack_from(body)
        if version != FORMAT:
            raise BadStateError(f"the state has format {version}; this server reads {FORMAT}")
        if not compare_digest(checksum, self._checksum(body)):
            raise BadStateError("the state is damaged, or was not signed by this server's secret")
        try:
            header = json.loads(body[_PREFIX.size : _PREFIX.size + length])
        except (ValueError, RecursionError) as error:
            raise BadStateError("the state's header is broken") from error
        if not isinstance(header, dict):
            raise BadStateError("the state's header is broken")
        return header, body[_PREFIX.size + length :]

    def _checksum(self, body: bytes) -> bytes:
        return blake2b(body, key=self._secret, digest_size=_CHECKSUM_BYTES).digest()


class _Reader:
    """Takes arrays off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        if count < 0 or self._at + size > len(self._data):
            raise ValueError("it is too short")
        array = np.frombuffer(self._data, dtype, count, self._at)
        self._at += size
        return array

    def finish(self) -> None:
        if self._at != len(self._data):
            raise ValueError("it is too long")


def _session(header: dict[str, Any], data: _Reader, shape: StateShape, opening: Memory) -> Session:
    position = int(header["position"])
    token_ids, ends = (data.take("<i4", position) for _ in range(2))
    text, idle_ttl_s = str(header["text"]), float(header["idle_ttl_s"])
    check_text(text)
    if not 0 < idle_ttl_s < math.inf:
        raise ValueError("it lives for no time")
    if not text.endswith(str(header["pending"])):
        raise ValueError("its partial word does not end its text")
    bounds = np.concatenate([[0], ends, [len(text)]])
    if len(token_ids) and not 0 <= token_ids.min() <= token_ids.max() < shape.vocabulary:
        raise ValueError("a token id is outside the vocabulary")
    if (np.diff(bounds) < 0).any():
        raise ValueError("its tokens do not lie in its text")
    recent = [Mark(int(mark), _memory(data, shape)) for mark in header["marks"]]
    marks = [Mark(0, opening), *recent]
    cache = None if header["cache"] is None else CacheConfig.model_validate(header["cache"])
    trail = None if cache is None else _trail(data, shape, cache, int(header["trail"]), position)
    data.finish()
    positions = [mark.position for mark in marks]
    if positions != sorted(set(positions)) or positions[-1] != position:
        raise ValueError("its memories do not fit its position")
    return Session(
        id=str(header["id"]),
        model=str(header["model"]),
        version=int(header["version"]),
        created_at_s=float(header["created_at_s"]),
        idle_ttl_s=idle_ttl_s,
        expires_at_s=float(header["expires_at_s"]),
        marks=tuple(marks),
        text=text,
        pending=str(header["pending"]),
        spaced=bool(header["spaced"]),
        token_ids=token_ids.tolist(),
        ends=ends.tolist(),
        past_steps=tuple(_past_step(values) for values in header["past_steps"]),
        revision=int(header["revision"]),
        cache=cache,
        trail=trail,
    )


def _memory(data: _Reader, shape: StateShape) -> Memory:
    *state, hidden = (
        data.take("<f4", size) for size in (*[shape.hidden] * shape.tensors, shape.features)
    )
    if not all(np.isfinite(part).all() for part in (*state, hidden)):
        raise ValueError("it holds what is no number")
    return Memory(tuple(state), hidden)


def _trail(data: _Reader, shape: StateShape, cache: CacheConfig, length: int, end: int) -> Trail:
    blank = Trail.blank(cache, shape.features)
    if not min(cache.size, end) <= length <= min(blank.most, end):
        raise ValueError("its trail does not fit its cache")
    hidden_MD = data.take("<f2", length * shape.features).reshape(length, shape.features)
    if not np.isfinite(hidden_MD).all():
        raise ValueError("it holds what is no number")
    return replace(blank, hidden_MD=hidden_MD)


def _past_step(values: dict[str, Any]) -> PastStep:
    answer = values["answer"]
    predictions = [Prediction(**prediction) for prediction in answer["predictions"]]
    return PastStep(
        int(values["at"]),
        values["key"],
        values["body"],
        Answer(int(answer["position"]), str(answer["pending"]), predictions),
    )


def _arrays(memory: Memory) -> Iterable[NDArray[np.float32]]:
    return (*memory.state, memory.hidden)
