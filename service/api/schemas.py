"""The JSON that goes in and out, and its bounds.

Must not know: how sessions are kept, engines.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.cache import CacheConfig
from service.engine.decode import Ask, Prediction
from service.sessions.cache import CacheWish
from service.sessions.session import Answer

MAX_K = 100
DEFAULT_K = 5

K = Annotated[int, Field(ge=1, le=MAX_K, description="How many suggestions")]
Punctuation = Annotated[bool, Field(description="Whether to suggest punctuation marks too")]
TokenId = Annotated[int, Field(ge=0)]
Prefix = Annotated[str, Field(max_length=200, description="What every suggestion starts with")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _AskBody(_Body):
    """What the calls that suggest something have in common."""

    k: K = DEFAULT_K
    punctuation: Punctuation = False

    def ask(self) -> Ask:
        """How many suggestions of what kind."""
        return Ask(self.k, self.punctuation)


class CacheBody(_Body):
    """A session's continuous cache; what is left out is as the model says."""

    size: Annotated[int, Field(ge=1, description="Words that it holds")] | None = None
    theta: Annotated[float, Field(gt=0, le=100, strict=False)] | None = None
    share: Annotated[float, Field(ge=0, lt=1, strict=False)] | None = None


class CreateBody(_AskBody):
    """`POST /v1/sessions`."""

    model: str | None = None
    version: Annotated[int, Field(ge=1)] | None = None
    text: str = ""
    ttl_s: Annotated[float, Field(gt=0, strict=False)] | None = None
    cache: bool | CacheBody | None = None

    def cache_wish(self) -> CacheWish:
        """The cache that is asked for."""
        if isinstance(self.cache, CacheBody):
            return CacheWish(True, self.cache.size, self.cache.theta, self.cache.share)
        return CacheWish(self.cache)


class TextBody(_AskBody):
    """`PUT /v1/sessions/{id}/text`."""

    text: str


class AdvanceBody(_AskBody):
    """`POST /v1/sessions/{id}/advance`: either text or token ids."""

    text: str | None = None
    token_ids: Annotated[list[TokenId], Field(min_length=1)] | None = None
    at: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> AdvanceBody:
        if (self.text is None) == (self.token_ids is None):
            raise ValueError("give either text or token_ids")
        return self


class RewindBody(_AskBody):
    """`POST /v1/sessions/{id}/rewind`."""

    to: Annotated[int, Field(ge=0)]


class PredictBody(_AskBody):
    """`POST /v1/predict`: either one text or several."""

    text: str | None = None
    texts: Annotated[list[str], Field(min_length=1)] | None = None
    prefix: Prefix = ""
    model: str | None = None
    version: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> PredictBody:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either text or texts")
        return self


class PredictionOut(BaseModel):
    """A suggested word; `logprob` is the model's own over its whole vocabulary."""

    word: str
    token_id: int
    logprob: float
    prob: float


class StepOut(BaseModel):
    """Where a session stands after a text sync, and what may follow."""

    id: str
    position: int
    pending: str
    predictions: list[PredictionOut]


class AdvanceOut(BaseModel):
    """Where a session stands after an advance, and what may follow."""

    id: str
    position: int
    replayed: bool
    predictions: list[PredictionOut]


class SessionOut(BaseModel):
    """A session's description."""

    id: str
    model: str
    version: int
    position: int
    text: str
    pending: str
    created_at: str
    expires_at: str
    cache: CacheConfig | None
    """Its continuous cache, if it has one."""


class CreatedOut(BaseModel):
    """A new session and what may follow its text."""

    id: str
    model: str
    version: int
    position: int
    pending: str
    expires_at: str
    predictions: list[PredictionOut]


class PredictionsOut(BaseModel):
    """What may follow."""

    predictions: list[PredictionOut]


class PredictOut(BaseModel):
    """What may follow: a list for `text`, a list of lists for `texts`."""

    model: str
    version: int
    predictions: list[PredictionOut] | list[list[PredictionOut]]


class ModelOut(BaseModel):
    """A model on offer."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "nextword"
    versions: list[int]
    default: bool


class ModelsOut(BaseModel):
    """All models on offer, in OpenAI's shape."""

    object: str = "list"
    data: list[ModelOut]


class HealthOut(BaseModel):
    """A probe's answer."""

    status: str


def predictions_out(predictions: list[Prediction]) -> list[PredictionOut]:
    """Suggestions as JSON."""
    return [
        PredictionOut(word=p.word, token_id=p.token_id, logprob=p.logprob, prob=p.prob)
        for p in predictions
    ]


def step_out(session_id: str, answer: Answer) -> StepOut:
    """The answer to a text sync as JSON, over HTTP and live alike."""
    return StepOut(
        id=session_id,
        position=answer.position,
        pending=answer.pending,
        predictions=predictions_out(answer.predictions),
    )
