"""What can be done with a session: open, mirror a text box, advance, look, close.

Every change follows one line: find the session, wait for its turn, plan, run, commit.
Must not know: HTTP, onnxruntime.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from models.errors import TextError
from service.engine.decode import Prediction, Query
from service.engine.engine import Engine, Step
from service.engine.fleet import Fleet
from service.errors import (
    ExpiredSessionError,
    KeyReusedError,
    StaleStepError,
    TextTooLongError,
    UnknownSessionError,
)
from service.sessions.ids import IdMint
from service.sessions.memory import MemoryStore
from service.sessions.session import Answer, Edit, LastStep, Mark, Session

Clock = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True)
class Rules:
    """The limits of sessions."""

    idle_ttl_s: float
    max_tokens: int
    max_marks: int

    def check_length(self, tokens: int) -> None:
        """Raise TextTooLongError where a text has more tokens than it may."""
        if tokens > self.max_tokens:
            raise TextTooLongError(f"the text has {tokens} tokens, more than {self.max_tokens}")


@dataclass(frozen=True)
class Advance:
    """Finished words to read, as text or as token ids, and how to recognise a retry."""

    text: str | None
    token_ids: list[int] | None
    k: int
    at: int | None = None
    key: str | None = None

    @property
    def body(self) -> object:
        """What makes two advances the same."""
        return (self.text, self.token_ids, self.k, self.at)


class Keeper:
    """Keeps the sessions of all models."""

    def __init__(
        self, fleet: Fleet, store: MemoryStore, mint: IdMint, rules: Rules, now_s: Clock
    ) -> None:
        """Work on a store; `now_s` tells the time."""
        self._fleet = fleet
        self._store = store
        self._mint = mint
        self._rules = rules
        self._now_s = now_s

    async def open(
        self, model: str | None, version: int | None, text: str, k: int, ttl_s: float | None
    ) -> tuple[Session, Answer]:
        """Start a session on a text of finished words."""
        self._store.check_room()
        engine = await self._fleet.engine(model, version)
        idle_ttl_s = min(ttl_s or self._rules.idle_ttl_s, self._rules.idle_ttl_s)
        now_s = self._now_s()
        session = Session(
            id=self._mint.make(now_s, idle_ttl_s),
            model=engine.manifest.name,
            version=engine.manifest.version,
            created_at_s=now_s,
            idle_ttl_s=idle_ttl_s,
            expires_at_s=now_s + idle_ttl_s,
            max_marks=self._rules.max_marks,
            marks=[Mark(0, engine.opening)],
        )
        edit = session.edit_to(engine.tokenizer, text, engine.tokenizer.finish(text))
        answer = await self._run(engine, session, edit, k)
        self._store.add(session)
        return session, answer

    async def sync_text(self, session_id: str, text: str, k: int) -> tuple[Session, Answer]:
        """Make a session's text the content of a text box, whose last word may be unfinished."""
        async with self._turn(session_id) as (session, engine):
            edit = session.edit_to(engine.tokenizer, text, engine.tokenizer.cut(text))
            answer = await self._run(engine, session, edit, k)
            session.last_step = None
            return session, answer

    async def advance(self, session_id: str, step: Advance) -> tuple[Session, Answer, bool]:
        """Read finished words behind what was read; tells whether the answer is a replay.

        The words take the place of a partial word, as a chosen suggestion does. The same step sent
        again is not run again; StaleStepError where its `at` is not the session's position.
        """
        async with self._turn(session_id) as (session, engine):
            replayed = _replay(session, step)
            if replayed is not None:
                return session, replayed, True
            at = session.position
            answer = await self._run(engine, session, _edit_for(engine, session, step), step.k)
            session.last_step = LastStep(at, step.key, step.body, answer)
            return session, answer, False

    async def predictions(self, session_id: str, k: int, prefix: str) -> list[Prediction]:
        """What may follow, nothing changed; a prefix takes the place of a pending one."""
        async with self._turn(session_id) as (session, engine):
            query = Query(k, prefix or session.pending, session.spaced)
            outcome = await engine.submit(Step(session.memory, (), query))
            return outcome.predictions

    def find(self, session_id: str) -> Session:
        """A live session; ExpiredSessionError or UnknownSessionError where there is none."""
        facts = self._mint.read(session_id)
        if facts is None:
            raise UnknownSessionError("there is no such session")
        now_s = self._now_s()
        session = self._store.get(session_id)
        if session is not None and now_s < session.expires_at_s:
            return session
        self._store.remove(session_id)
        if session is not None or now_s >= facts.created_at_s + facts.idle_ttl_s:
            raise ExpiredSessionError("the session's time is over")
        raise UnknownSessionError("there is no such session any more: it was deleted")

    def close(self, session_id: str) -> None:
        """Delete a session."""
        self._store.remove(self.find(session_id).id)

    def sweep(self) -> int:
        """Drop the sessions whose time is over, and tell how many they were."""
        now_s = self._now_s()
        expired = [session for session in self._store if now_s >= session.expires_at_s]
        for session in expired:
            self._store.remove(session.id)
        return len(expired)

    @asynccontextmanager
    async def _turn(self, session_id: str) -> AsyncIterator[tuple[Session, Engine]]:
        """Wait for a session's turn; it is looked up again then, as it may be gone meanwhile."""
        async with self.find(session_id).turn:
            session = self.find(session_id)
            session.expires_at_s = self._now_s() + session.idle_ttl_s
            yield session, await self._fleet.engine(session.model, session.version)

    async def _run(self, engine: Engine, session: Session, edit: Edit, k: int) -> Answer:
        """Run a planned change and commit it, whole or not at all."""
        self._rules.check_length(edit.keep + len(edit.new_ids))
        query = Query(k, edit.pending, edit.spaced)
        outcome = await engine.submit(Step(edit.base.memory, edit.token_ids, query))
        session.commit(edit, outcome.memory)
        return Answer(session.position, session.pending, outcome.predictions)


def _edit_for(engine: Engine, session: Session, step: Advance) -> Edit:
    if step.token_ids is not None:
        return session.edit_by_ids(engine.tokenizer, step.token_ids)
    words = step.text or ""
    before = session.text.removesuffix(session.pending)
    text = engine.tokenizer.join(before, words)
    if not words.strip(" \t"):
        raise TextError("the text holds no word to advance by")
    return session.edit_to(engine.tokenizer, text, engine.tokenizer.finish(text))


def _replay(session: Session, step: Advance) -> Answer | None:
    """The answer to a step that was applied already; None where it is a new one."""
    last = session.last_step
    if last is not None and step.key is not None and step.key == last.key:
        if step.body != last.body:
            raise KeyReusedError("this Idempotency-Key came before with another body")
        return last.answer
    if step.at is None or step.at == session.position:
        return None
    if last is not None and step.key is None and step.at == last.at and step.body == last.body:
        return last.answer
    raise StaleStepError(
        f"the session is at position {session.position}, not {step.at}", position=session.position
    )
