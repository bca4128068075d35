"""`/v1/sessions`: one conversation each, remembered between requests.

Must not know: how steps are run or kept.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from service.api.dependencies import PartsOf
from service.api.schemas import (
    DEFAULT_K,
    AdvanceBody,
    AdvanceOut,
    CreateBody,
    CreatedOut,
    K,
    PredictionsOut,
    Prefix,
    Punctuation,
    RewindBody,
    SessionOut,
    StepOut,
    TextBody,
    predictions_out,
    step_out,
)
from service.engine.decode import Ask
from service.sessions.advance import Advance
from service.sessions.session import Answer, Session

_STATE_TYPE = "application/octet-stream"


def _ask(k: K = DEFAULT_K, punctuation: Punctuation = False) -> Ask:  # noqa: FBT002 - FastAPI names it
    return Ask(k, punctuation)


AskOf = Annotated[Ask, Depends(_ask)]

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=201)
async def create(body: CreateBody, parts: PartsOf) -> CreatedOut:
    """Start a session, perhaps on a text of finished words."""
    session, answer = await parts.keeper.open(
        body.model, body.version, body.text, body.ask(), body.ttl_s, body.cache_wish()
    )
    return _created(session, answer)


@router.put("/{session_id}/text")
async def put_text(session_id: str, body: TextBody, parts: PartsOf) -> StepOut:
    """Tell the whole text of a text box; its last word may be unfinished and is completed."""
    session, answer = await parts.keeper.sync_text(session_id, body.text, body.ask())
    return step_out(session.id, answer)


@router.post("/{session_id}/advance")
async def advance(
    session_id: str,
    body: AdvanceBody,
    parts: PartsOf,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> AdvanceOut:
    """Commit finished words; with `at` or an Idempotency-Key, a retry is applied once."""
    step = Advance(body.text, body.token_ids, body.ask(), body.at, idempotency_key)
    session, answer, replayed = await parts.keeper.advance(session_id, step)
    return AdvanceOut(
        id=session.id,
        position=answer.position,
        replayed=replayed,
        predictions=predictions_out(answer.predictions),
    )


@router.post("/{session_id}/rewind")
async def rewind(session_id: str, body: RewindBody, parts: PartsOf) -> StepOut:
    """Go back to an earlier position, exactly."""
    session, answer = await parts.keeper.rewind(session_id, body.to, body.ask())
    return step_out(session.id, answer)


@router.post("/{session_id}/fork", status_code=201)
async def fork(session_id: str, parts: PartsOf, ask: AskOf) -> CreatedOut:
    """Start a second session that stands where this one stands."""
    return _created(*await parts.keeper.fork(session_id, ask))


@router.get("/{session_id}/state", response_class=Response)
async def export_state(session_id: str, parts: PartsOf) -> Response:
    """A session as bytes, for `import` here or on another server of the same model."""
    return Response(await parts.keeper.export(session_id), media_type=_STATE_TYPE)


@router.post("/import", status_code=201)
async def import_state(request: Request, parts: PartsOf, ask: AskOf) -> CreatedOut:
    """Start a session from exported bytes."""
    return _created(*await parts.keeper.import_state(await request.body(), ask))


@router.get("/{session_id}/predictions")
async def get_predictions(
    session_id: str, parts: PartsOf, ask: AskOf, prefix: Annotated[Prefix, Query()] = ""
) -> PredictionsOut:
    """What may follow; nothing changes."""
    predictions = await parts.keeper.predictions(session_id, ask, prefix)
    return PredictionsOut(predictions=predictions_out(predictions))


@router.get("/{session_id}")
async def describe(session_id: str, parts: PartsOf) -> SessionOut:
    """Where a session stands."""
    session = await parts.keeper.describe(session_id)
    return SessionOut(
        id=session.id,
        model=session.model,
        version=session.version,
        position=session.position,
        text=session.text,
        pending=session.pending,
        created_at=_time(session.created_at_s),
        expires_at=_time(session.expires_at_s),
        cache=session.cache,
    )


@router.delete("/{session_id}", status_code=204)
async def delete(session_id: str, parts: PartsOf) -> None:
    """End a session."""
    await parts.keeper.close(session_id)


def _created(session: Session, answer: Answer) -> CreatedOut:
    return CreatedOut(
        id=session.id,
        model=session.model,
        version=session.version,
        position=answer.position,
        pending=answer.pending,
        expires_at=_time(session.expires_at_s),
        predictions=predictions_out(answer.predictions),
    )


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
