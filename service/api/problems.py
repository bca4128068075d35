"""Every refusal as `application/problem+json` (RFC 9457), with a type that stays.

Must not know: what was refused, or why.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import BundleError
from service.errors import ServiceError, from_model_error

_LOG = logging.getLogger("nextword")
TYPE_PREFIX = "urn:nextword:problem:"


@dataclass(frozen=True)
class Problem:
    """A refusal, whatever protocol carries it; `kind` ends its type."""

    kind: str
    status: int
    detail: str
    extra: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def members(self) -> dict[str, object]:
        """The problem document."""
        return {
            "type": TYPE_PREFIX + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }

    def response(self) -> JSONResponse:
        """The problem over HTTP."""
        media_type = "application/problem+json"
        return JSONResponse(self.members, self.status, self.headers, media_type=media_type)


def problem_of(error: Exception) -> Problem:
    """What an error means to a client; the one place that tells, for every protocol."""
    match error:
        case ServiceError():
            return _of_service(error)
        case BundleError():
            return _of_service(from_model_error(error))
        case RequestValidationError():
            return _of_faults(error)
        case HTTPException():
            return _of_http(error)
    _LOG.error("unexpected error", exc_info=error)
    return Problem("internal", 500, "something went wrong here; it was logged")


def service_problem(error: ServiceError) -> JSONResponse:
    """The problem of a ServiceError over HTTP."""
    return problem_of(error).response()


def install(app: FastAPI) -> None:
    """Answer all errors of an application with problems."""

    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response()

    for kind in (ServiceError, BundleError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _of_service(error: ServiceError) -> Problem:
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.retry_after_s is None:
        _LOG.error("%s: %s", error.kind, error.detail)
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return Problem(error.kind, error.status, error.detail, error.extra, retry)


def _of_faults(error: RequestValidationError) -> Problem:
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem("malformed-json", 400, "what was sent is not JSON")
    detail = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
    return Problem("invalid-request", 422, detail)


def _of_http(error: HTTPException) -> Problem:
    kinds = {404: "not-found", 405: "method-not-allowed", 400: "malformed-body"}
    kind = kinds.get(error.status_code, "http")
    return Problem(kind, error.status_code, str(error.detail), headers=error.headers or {})
