"""Stateless calls on text: `/v1/predict`.

Must not know: sessions.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from service.api.dependencies import PartsOf
from service.api.schemas import PredictBody, PredictOut, predictions_out
from service.engine.decode import Ask, Query
from service.engine.engine import Engine, Step
from service.errors import BadRequestError
from service.offload import off_loop_if_long
from service.sessions.rules import Rules

router = APIRouter(prefix="/v1", tags=["text"])


@router.post("/predict")
async def predict(body: PredictBody, parts: PartsOf) -> PredictOut:
    """What may follow a text of finished words, or each of several."""
    engine = await parts.fleet.engine(body.model, body.version)
    texts = [body.text] if body.text is not None else body.texts or []
    if len(texts) > parts.settings.max_texts:
        raise BadRequestError(f"{len(texts)} texts are more than {parts.settings.max_texts}")

    def plan() -> list[Step]:
        return [_step(engine, text, body.ask(), body.prefix, parts.rules) for text in texts]

    steps = await off_loop_if_long(sum(map(len, texts)), plan)
    outcomes = await asyncio.gather(*map(engine.submit, steps))
    answers = [predictions_out(outcome.predictions) for outcome in outcomes]
    return PredictOut(
        model=engine.manifest.name,
        version=engine.manifest.version,
        predictions=answers[0] if body.text is not None else answers,
    )


def _step(engine: Engine, text: str, ask: Ask, prefix: str, rules: Rules) -> Step:
    cut = engine.tokenizer.finish(text)
    token_ids = engine.tokenizer.scan(cut.finished).ids
    rules.check_length(len(token_ids))
    return Step(engine.opening, token_ids, Query(ask, prefix, cut.spaced))
