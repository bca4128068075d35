"""One advance: what a client asks for, and how the same step sent again is recognised.

Must not know: stores, engines, HTTP.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass

from models.errors import TextError
from models.text import Tokenizer
from service.engine.decode import Ask
from service.errors import KeyReusedError, StaleStepError
from service.sessions.session import Answer, Edit, Session


@dataclass(frozen=True)
class Advance:
    """Finished words to read, as text or as token ids, and how to recognise a retry."""

    text: str | None
    token_ids: list[int] | None
    ask: Ask
    at: int | None = None
    key: str | None = None

    @property
    def body(self) -> str:
        """What makes two advances the same."""
        return json.dumps([self.text, self.token_ids, astuple(self.ask), self.at])


class Replayed(Exception):  # noqa: N818 - a way out of a plan, not an error
    """The step was applied already; this was its answer."""

    def __init__(self, answer: Answer) -> None:
        """Carry the answer out of the plan."""
        super().__init__()
        self.answer = answer


def edit_for(tokenizer: Tokenizer, session: Session, step: Advance) -> Edit:
    """The change that an advance asks for; TextError or VocabularyError where it asks for none."""
    if step.token_ids is not None:
        return session.edit_by_ids(tokenizer, step.token_ids)
    words = step.text or ""
    before = session.text.removesuffix(session.pending)
    text = tokenizer.join(before, words)
    if not words.strip(" \t"):
        raise TextError("the text holds no word to advance by")
    return session.edit_to(tokenizer, text, tokenizer.finish(text))


def check_retry(session: Session, step: Advance) -> None:
    """Raise Replayed for a step that was applied already, and refuse one that comes too late."""
    for past in reversed(session.past_steps):
        if step.key is not None and step.key == past.key:
            if step.body != past.body:
                raise KeyReusedError("this Idempotency-Key came before with another body")
            raise Replayed(past.answer)
    if step.at is None or step.at == session.position:
        return
    for past in reversed(session.past_steps):
        if step.key is past.key is None and (step.at, step.body) == (past.at, past.body):
            raise Replayed(past.answer)
    raise StaleStepError(
        f"the session is at position {session.position}, not {step.at}", position=session.position
    )
