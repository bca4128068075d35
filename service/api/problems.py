"""Every refusal as `application/problem+json` (RFC 9457), with a type that stays.

Must not know: what was refused, or why.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from models.errors import BundleError
from service.errors import ServiceError, from_model_error

_LOG = logging.getLogger("nextword")
TYPE_PREFIX = "urn:nextword:problem:"


def problem(
    kind: str, status: int, detail: str, retry_after_s: int | None = None, **extra: object
) -> JSONResponse:
    """A problem document; `kind` ends its type."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    content = {
        "type": TYPE_PREFIX + kind,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **extra,
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def service_problem(error: ServiceError) -> JSONResponse:
    """The problem of a ServiceError."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.retry_after_s is None:
        _LOG.error("%s: %s", error.kind, error.detail)
    return problem(error.kind, error.status, error.detail, error.retry_after_s, **error.extra)


def install(app: FastAPI) -> None:
    """Answer all errors of an application with problems."""

    @app.exception_handler(ServiceError)
    async def _(_request: Request, error: ServiceError) -> JSONResponse:
        return service_problem(error)

    @app.exception_handler(BundleError)
    async def _(_request: Request, error: BundleError) -> JSONResponse:
        return service_problem(from_model_error(error))

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = error.errors()
        if any(fault["type"] == "json_invalid" for fault in faults):
            return problem("malformed-json", 400, "the body is not JSON")
        detail = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults
        )
        return problem("invalid-request", 422, detail)

    @app.exception_handler(HTTPException)
    async def _(_request: Request, error: HTTPException) -> JSONResponse:
        kinds = {404: "not-found", 405: "method-not-allowed", 400: "malformed-body"}
        kind = kinds.get(error.status_code, "http")
        answer = problem(kind, error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(Exception)
    async def _(_request: Request, error: Exception) -> JSONResponse:
        _LOG.exception("unexpected error", exc_info=error)
        return problem("internal", 500, "something went wrong here; it was logged")
