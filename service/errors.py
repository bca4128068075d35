"""What the service refuses, each with the HTTP status it suggests; this is the one place for both.

Must not know: FastAPI, onnxruntime.
"""

from __future__ import annotations

from models import errors as model_errors


class ServiceError(Exception):
    """A request cannot be served as asked; `kind` is stable and ends the problem's `type`."""

    kind = "internal"
    status = 500
    retry_after_s: int | None = None

    def __init__(self, detail: str, **extra: object) -> None:
        """Say what is wrong; `extra` become members of the problem (RFC 9457, section 3.2)."""
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class StartError(ServiceError):
    """The service cannot start as configured."""

    kind = "start"


class BadRequestError(ServiceError):
    """The request is well-formed but asks for something impossible."""

    kind = "invalid-request"
    status = 422


class BodyTooLargeError(ServiceError):
    """The request's body is over the limit."""

    kind = "body-too-large"
    status = 413


class TextTooLongError(ServiceError):
    """The text has more tokens than a request or a session may have."""

    kind = "text-too-long"
    status = 413


class UnknownSessionError(ServiceError):
    """There never was a session of this id, or it was deleted."""

    kind = "unknown-session"
    status = 404


class ExpiredSessionError(ServiceError):
    """The session was there, and its time is over."""

    kind = "expired-session"
    status = 410


class StaleStepError(ServiceError):
    """The client's position is not the session's; the problem names the current one."""

    kind = "stale-step"
    status = 409


class KeyReusedError(ServiceError):
    """An Idempotency-Key came again with another body."""

    kind = "idempotency-key-reused"
    status = 422


class BadStateError(ServiceError):
    """The bytes are no state of a session, or no longer whole, or not signed here."""

    kind = "bad-state"
    status = 422


class ForeignStateError(ServiceError):
    """The state belongs to a model that is not the one served here."""

    kind = "foreign-state"
    status = 409


class StoreAwayError(ServiceError):
    """The place where sessions are kept cannot be reached; nothing was changed."""

    kind = "store-away"
    status = 503
    retry_after_s = 1


class SessionsFullError(ServiceError):
    """The server holds as many sessions as it may."""

    kind = "sessions-full"
    status = 503
    retry_after_s = 5


class OverloadedError(ServiceError):
    """More steps are waiting than the server takes on."""

    kind = "overloaded"
    status = 503
    retry_after_s = 1


class DeadlineError(ServiceError):
    """The step did not come to an end in time; nothing was changed."""

    kind = "deadline"
    status = 503
    retry_after_s = 1


class StoppingError(ServiceError):
    """The server is shutting down and takes no new work."""

    kind = "stopping"
    status = 503
    retry_after_s = 1


class ModelFaultError(ServiceError):
    """A model gave something that is no number; nothing was kept of it."""

    kind = "model-fault"


_OF_MODELS: tuple[tuple[type[model_errors.BundleError], str, int], ...] = (
    (model_errors.UnknownModelError, "unknown-model", 404),
    (model_errors.UnknownVersionError, "unknown-version", 404),
    (model_errors.TextError, "invalid-text", 422),
    (model_errors.VocabularyError, "invalid-token-id", 422),
    (model_errors.BundleError, "broken-model", 500),
)


def from_model_error(error: model_errors.BundleError) -> ServiceError:
    """The ServiceError that says what a `models` error means to a client."""
    kind, status = next((k, s) for cls, k, s in _OF_MODELS if isinstance(error, cls))
    translated = ServiceError(str(error))
    translated.kind, translated.status = kind, status
    return translated
