"""How a session reads: an edit run on its model's engine, and what may follow where it stands.

Must not know: stores, clocks, ids, HTTP.
"""

from __future__ import annotations

from dataclasses import replace

from models.cache import CacheConfig
from service.engine.decode import Ask, Prediction, Query
from service.engine.engine import Engine, Step
from service.engine.fleet import Fleet
from service.engine.trail import Trail
from service.sessions.rules import Rules
from service.sessions.session import Answer, Edit, Mark, Session


class Reader:
    """Runs sessions on the engines of their models."""

    def __init__(self, fleet: Fleet, rules: Rules) -> None:
        """Read with the engines of a fleet, within the rules."""
        self._fleet = fleet
        self._rules = rules

    async def run(
        self, engine: Engine, session: Session, edit: Edit, ask: Ask
    ) -> tuple[Session, Answer]:
        """Run a planned change; the session after it, which nobody knows yet."""
        self._rules.check_length(edit.keep + len(edit.new_ids))
        recall = session.recall(engine.tokenizer.unknown_id, edit)
        query = Query(ask, edit.pending, edit.spaced, recall)
        memory, trail, marks = edit.base.memory, session.trail_before(edit.base), list[Mark]()
        *before, last = edit.pieces()
        for piece in before:
            outcome = await engine.submit(Step(memory, piece, None, trail))
            memory, trail = outcome.memory, outcome.trail
            position = (marks[-1] if marks else edit.base).position + len(piece)
            marks.append(Mark(position, memory))
        outcome = await engine.submit(Step(memory, last, query, trail))
        most = self._rules.max_marks
        session = session.after(edit, marks, outcome.memory, most, outcome.trail)
        return session, Answer(session.position, session.pending, outcome.predictions)

    async def on_its_model(self, session: Session) -> tuple[Session, Engine]:
        """A session and the engine it runs on: its own, or the newest, which reads its text anew.

        The session that went over is written with its next change, at the same revision.
        """
        if not self._rules.migrate:
            return session, await self._fleet.engine(session.model, session.version)
        engine = await self._fleet.engine(session.model)
        if engine.manifest.version == session.version:
            return session, engine
        blank = replace(
            session,
            version=engine.manifest.version,
            marks=(Mark(0, engine.opening),),
            text="",
            pending="",
            token_ids=[],
            ends=[],
            trail=blank_trail(session.cache, engine),
        )
        tokenizer, text = engine.tokenizer, session.text
        cut = tokenizer.cut(text) if session.pending else tokenizer.finish(text)
        moved, _ = await self.run(engine, blank, blank.edit_to(tokenizer, text, cut), Ask(1))
        return replace(moved, revision=session.revision), engine

    @staticmethod
    async def look(engine: Engine, session: Session, ask: Ask, prefix: str) -> list[Prediction]:
        """What may follow where a session stands."""
        recall = session.recall(engine.tokenizer.unknown_id)
        query = Query(ask, prefix, session.spaced, recall)
        outcome = await engine.submit(Step(session.memory, (), query, session.trail))
        return outcome.predictions


def blank_trail(cache: CacheConfig | None, engine: Engine) -> Trail | None:
    """The trail of a session that has read nothing; None where it has no cache."""
    return None if cache is None else Trail.blank(cache, engine.manifest.features)
