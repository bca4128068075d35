"""What can be done with a session: open, mirror a text box, advance, rewind, fork, look, close.

Every change follows one line: wait for the session's turn, look it up, plan, run, write. A write
that another process was faster with is planned anew on what that one left.
Must not know: HTTP, onnxruntime, any one store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from weakref import WeakValueDictionary

from service.engine.decode import Ask, Prediction
from service.engine.engine import Engine
from service.engine.fleet import Fleet
from service.errors import (
    BadRequestError,
    ExpiredSessionError,
    OverloadedError,
    SessionsFullError,
    UnknownSessionError,
)
from service.offload import off_loop_if_long
from service.sessions.advance import Advance, Replayed, check_retry, edit_for
from service.sessions.cache import CacheWish, check_size, choose_cache
from service.sessions.ids import IdMint
from service.sessions.packer import Packer
from service.sessions.reader import Reader, blank_trail
from service.sessions.rules import Rules
from service.sessions.session import Answer, Edit, Mark, PastStep, Session
from service.sessions.store import ConflictError, Store

Clock = Callable[[], float]
"""Seconds since the epoch."""

Plan = Callable[[Session, Engine], Edit]
"""Decides on a change; raises where there is to be none."""

ANY_CACHE = CacheWish()
"""Whatever the model says."""

_PAST_STEPS = 8
"""Steps a session knows again when they are sent once more."""

_ATTEMPTS = 20
"""How often a step is planned anew when other processes keep being faster."""


class Keeper:
    """Keeps the sessions of all models."""

    def __init__(
        self, fleet: Fleet, store: Store, packer: Packer, mint: IdMint, rules: Rules, now_s: Clock
    ) -> None:
        """Work on a store; `now_s` tells the time."""
        self._fleet = fleet
        self._store = store
        self._packer = packer
        self._mint = mint
        self._rules = rules
        self._reader = Reader(fleet, rules)
        self._now_s = now_s
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(
        self,
        model: str | None,
        version: int | None,
        text: str,
        ask: Ask,
        ttl_s: float | None,
        cache: CacheWish = ANY_CACHE,
    ) -> tuple[Session, Answer]:
        """Start a session on a text of finished words; BadRequestError for an impossible cache."""
        engine = await self._fleet.engine(model, version)
        idle_ttl_s = min(ttl_s or self._rules.idle_ttl_s, self._rules.idle_ttl_s)
        config = choose_cache(cache, engine.manifest.cache, self._rules.max_cache)
        now_s = self._now_s()
        session = Session(
            id=self._mint.make(now_s, idle_ttl_s),
            model=engine.manifest.name,
            version=engine.manifest.version,
            created_at_s=now_s,
            idle_ttl_s=idle_ttl_s,
            expires_at_s=now_s + idle_ttl_s,
            marks=(Mark(0, engine.opening),),
            cache=config,
            trail=blank_trail(config, engine),
        )
        blank, tokenizer = session, engine.tokenizer
        edit = await off_loop_if_long(
            len(text), lambda: blank.edit_to(tokenizer, text, tokenizer.finish(text))
        )
        session, answer = await self._reader.run(engine, blank, edit, ask)
        await self._admit(session)
        return session, answer

    async def sync_text(self, session_id: str, text: str, ask: Ask) -> tuple[Session, Answer]:
        """Make a session's text the content of a text box, whose last word may be unfinished."""

        def plan(session: Session, engine: Engine) -> Edit:
            return session.edit_to(engine.tokenizer, text, engine.tokenizer.cut(text))

        return await self._change(session_id, ask, plan, len(text))

    async def advance(self, session_id: str, step: Advance) -> tuple[Session, Answer, bool]:
        """Read finished words behind what was read; tells whether the answer is a replay.

        The words take the place of a partial word, as a chosen suggestion does. The same step sent
        again is not run again; StaleStepError where its `at` is not the session's position.
        """

        def plan(session: Session, engine: Engine) -> Edit:
            check_retry(session, step)
            return edit_for(engine.tokenizer, session, step)

        try:
            size = len(step.text or "")
            session, answer = await self._change(session_id, step.ask, plan, size, step)
        except Replayed as replayed:
            return await self.describe(session_id), replayed.answer, True
        return session, answer, False

    async def rewind(self, session_id: str, position: int, ask: Ask) -> tuple[Session, Answer]:
        """Go back to an earlier position; BadRequestError where the session was never there."""

        def plan(session: Session, engine: Engine) -> Edit:
            if position > session.position:
                raise BadRequestError(
                    f"the session is at position {session.position}, before {position}"
                )
            return session.edit_back_to(engine.tokenizer, position)

        return await self._change(session_id, ask, plan)

    async def fork(self, session_id: str, ask: Ask) -> tuple[Session, Answer]:
        """Start a second session that stands where this one stands."""
        return await self._adopt(await self._used(session_id), ask)

    async def export(self, session_id: str) -> bytes:
        """A session as bytes that another server can import."""
        return await self._packer.pack(await self._used(session_id))

    async def import_state(self, blob: bytes, ask: Ask) -> tuple[Session, Answer]:
        """Start a session from an exported one.

        Raises BadStateError, ForeignStateError, what is unknown of its model, or BadRequestError
        where its cache is larger than this server allows.
        """
        session = await self._packer.unpack(blob)
        self._rules.check_length(session.position)
        check_size(session.cache, self._rules.max_cache)
        return await self._adopt(session, ask)

    async def predictions(self, session_id: str, ask: Ask, prefix: str) -> list[Prediction]:
        """What may follow, nothing changed; a prefix takes the place of a pending one."""
        session, engine = await self._reader.on_its_model(await self._used(session_id))
        return await self._reader.look(engine, session, ask, prefix or session.pending)

    async def describe(self, session_id: str) -> Session:
        """A live session; ExpiredSessionError or UnknownSessionError where there is none."""
        facts = self._mint.read(session_id)
        if facts is None:
            raise UnknownSessionError("there is no such session")
        session = await self._store.get(session_id)
        if session is not None and self._now_s() < session.expires_at_s:
            return session
        # Left to the sweep: another process may have used it since it was looked up.
        if session is not None or self._now_s() >= facts.created_at_s + facts.idle_ttl_s:
            raise ExpiredSessionError("the session's time is over")
        raise UnknownSessionError("there is no such session any more: it was deleted")

    async def close(self, session_id: str) -> None:
        """Delete a session."""
        async with self._turn(session_id):
            session = await self.describe(session_id)
            await self._store.remove(session.id)

    async def sweep(self) -> int:
        """Drop the sessions whose time is over, and tell how many they were."""
        return await self._store.sweep(self._now_s())

    def _turn(self, session_id: str) -> asyncio.Lock:
        """Steps of one session run one at a time here, in the order they came."""
        return self._turns.setdefault(session_id, asyncio.Lock())

    async def _change(
        self, session_id: str, ask: Ask, plan: Plan, size: int = 0, step: Advance | None = None
    ) -> tuple[Session, Answer]:
        """Plan, run and write a change, in the session's turn; `size` is its text's length."""
        async with self._turn(session_id):
            for _ in range(_ATTEMPTS):
                before, engine = await self._reader.on_its_model(await self.describe(session_id))
                edit = await off_loop_if_long(size, partial(plan, before, engine))
                session, answer = await self._reader.run(engine, before, edit, ask)
                if step is not None:
                    past = PastStep(before.position, step.key, step.body, answer)
                    session = session.remembering(past, _PAST_STEPS)
                try:
                    await self._store.put(self._prolonged(session))
                except ConflictError:
                    continue
                return session, answer
        raise OverloadedError("other writers kept changing this session")

    async def _adopt(self, origin: Session, ask: Ask) -> tuple[Session, Answer]:
        """A session of its own that stands where `origin` stands."""
        now_s = self._now_s()
        idle_ttl_s = min(origin.idle_ttl_s, self._rules.idle_ttl_s)
        session = replace(
            origin,
            id=self._mint.make(now_s, idle_ttl_s),
            created_at_s=now_s,
            idle_ttl_s=idle_ttl_s,
            expires_at_s=now_s + idle_ttl_s,
            past_steps=(),
            revision=1,
        )
        engine = await self._fleet.engine(session.model, session.version)
        predictions = await self._reader.look(engine, session, ask, session.pending)
        await self._admit(session)
        return session, Answer(session.position, session.pending, predictions)

    async def _admit(self, session: Session) -> None:
        """Keep a new session, if need be in the room of those whose time is over."""
        try:
            await self._store.put(session)
        except SessionsFullError:
            if await self.sweep() == 0:
                raise
            await self._store.put(session)

    async def _used(self, session_id: str) -> Session:
        """A live session, which lives longer for having been used."""
        session = await self.describe(session_id)
        expires_at_s = self._prolonged(session).expires_at_s
        await self._store.touch(session_id, expires_at_s)
        return session

    def _prolonged(self, session: Session) -> Session:
        """The session with its idle time begun anew, within the time any may live."""
        end_s = session.created_at_s + self._rules.total_ttl_s
        expires_at_s = min(self._now_s() + session.idle_ttl_s, end_s)
        return replace(session, expires_at_s=expires_at_s)
