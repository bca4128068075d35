"""Sessions in Redis or Valkey: many machines, any replica serves any session.

Writes that come while one is under way go out together as the next pipeline; each is checked
against the session's revision by a script on the server, so that of two replicas never both win.
The server forgets expired sessions by itself.
Must not know: engines, HTTP, what a session is made of.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.errors import SessionsFullError, StartError, StoreAwayError
from service.sessions.group_commit import GroupCommit, Write
from service.sessions.packer import Packer
from service.sessions.session import Session
from service.sessions.store import ConflictError

# One hash slot, so that the script may touch both keys on a cluster.
_PREFIX = "{nextword}:"
_EXPIRIES = _PREFIX + "expiries"
_SECRET = _PREFIX + "secret"

_PUT = """
local held = redis.call('HGET', KEYS[1], 'revision')
local revision, expires_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
if (held and tonumber(held) or 0) ~= revision - 1 then return 'conflict' end
if revision == 1 then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 'full' end
end
redis.call('HSET', KEYS[1], 'revision', revision, 'blob', ARGV[4], 'expires_ms', expires_ms)
redis.call('PEXPIREAT', KEYS[1], expires_ms)
redis.call('ZADD', KEYS[2], expires_ms, ARGV[1])
return 'ok'
"""
_TOUCH = """
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'expires_ms', ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
"""


class RedisStore:
    """At most `capacity` sessions in the database at `url`."""

    def __init__(self, url: str, packer: Packer, capacity: int, timeout_s: float = 2.0) -> None:
        """Describe the database; `start` looks whether it is there.

        Commands are not repeated by the client: a write whose answer was lost may have been made.
        """
        self._packer = packer
        self._capacity = capacity
        self._group = GroupCommit(self._commit)
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    async def start(self) -> bytes:
        """Look for the database; its secret is made by the first server that finds none."""
        try:
            await self._call(self._redis.set(_SECRET, secrets.token_bytes(32), nx=True))
            return bytes(await self._call(self._redis.get(_SECRET)))
        except StoreAwayError as error:
            raise StartError(f"NEXTWORD_REDIS_URL: {error.detail}") from error

    async def stop(self) -> None:
        """Write what waits, and hang up."""
        await self._group.drain()
        await self._redis.aclose()

    async def get(self, session_id: str) -> Session | None:
        """The session of an id, or None."""
        key = _PREFIX + session_id
        blob, expires_ms = await self._call(self._redis.hmget(key, ["blob", "expires_ms"]))
        if blob is None:
            return None
        return await self._packer.unpack(blob, expires_at_s=int(expires_ms) / 1000)

    async def put(self, session: Session) -> None:
        """Keep a session; ConflictError or SessionsFullError where that cannot be."""
        await self._group.put(session, await self._packer.pack(session))

    async def touch(self, session_id: str, expires_at_s: float) -> None:
        """Let a session live until another time."""
        keys = (_PREFIX + session_id, _EXPIRIES)
        arguments = (session_id, int(expires_at_s * 1000))
        await self._call(self._redis.eval(_TOUCH, 2, *keys, *arguments))

    async def remove(self, session_id: str) -> None:
        """Let a session go."""
        async with self._redis.pipeline() as pipeline:
            pipeline.delete(_PREFIX + session_id)
            pipeline.zrem(_EXPIRIES, session_id)
            await self._call(pipeline.execute())

    async def sweep(self, now_s: float) -> int:
        """Forget the names of expired sessions; the server has dropped the sessions already."""
        now_ms = int(now_s * 1000)
        return int(await self._call(self._redis.zremrangebyscore(_EXPIRIES, "-inf", now_ms)))

    async def _commit(self, writes: Sequence[Write]) -> list[Exception | None]:
        """One pipeline for all; each write is checked and made by itself."""
        now_ms = int(time.time() * 1000)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for write in writes:
                session = write.session
                keys = (_PREFIX + session.id, _EXPIRIES)
                expires_ms = int(session.expires_at_s * 1000)
                arguments = (session.id, session.revision, expires_ms, write.blob)
                pipeline.eval(_PUT, 2, *keys, *arguments, now_ms, self._capacity)
            answers = await self._call(pipeline.execute(raise_on_error=False))
        return [self._outcome(answer) for answer in answers]

    def _outcome(self, answer: object) -> Exception | None:
        if answer == b"ok":
            return None
        if answer == b"conflict":
            return ConflictError()
        if answer == b"full":
            return SessionsFullError(f"all {self._capacity} sessions are taken")
        return StoreAwayError(f"the session store refused: {answer}")

    @staticmethod
    async def _call(command: Awaitable[Any]) -> Any:
        """Await a command; StoreAwayError where the database cannot be reached."""
        try:
            return await command
        except (RedisError, OSError) as error:
            raise StoreAwayError(f"the session store cannot be reached: {error}") from error
