"""Errors as clients see them: `application/problem+json` with a stable slug, never a bare 500.

Beside RFC 9457's members each body has `message` and `hint`, which clients of the platform read,
and a graph's problems stand in `detail`, where those clients look for them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.types import ExceptionHandlersMap

from api.http.auth import Principal
from api.http.bodies import BODY, ClientLeft
from domain.errors import (
    Conflict,
    DomainError,
    GraphInvalid,
    Invalid,
    KeyReused,
    NotFound,
    PaymentRequired,
    QuotaExceeded,
    Unavailable,
)
from domain.events import UnknownEventType
from runtime import outages, process

log = structlog.get_logger()

STATUS: dict[type[DomainError], int] = {
    Invalid: 400,
    GraphInvalid: 400,
    PaymentRequired: 402,
    QuotaExceeded: 403,
    NotFound: 404,
    Conflict: 409,
    KeyReused: 422,
    Unavailable: 503,
}

SLUGS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
}

INTERNAL_ERROR = "internal_error"
INTERNAL_MESSAGE = "Something went wrong inside Evergraph."
RETRY_SECONDS = "1"
PROBLEM_JSON = "application/problem+json"

AnyRequest = Request[Any, Any, Any]


class Problem(msgspec.Struct):
    """Why a request was refused. `detail` is an object for a graph's problems, else a text."""

    type: str
    title: str
    status: int
    detail: Any
    message: str
    hint: str | None = None


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """What the document says of a route that may answer with these statuses too.

    400, 401 and 503 are everywhere.
    """
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type=PROBLEM_JSON,
        )
        for status in sorted({400, 401, 503, *statuses})
    }


def problem(
    status: int,
    slug: str,
    detail: Any,
    message: str,
    *,
    headers: dict[str, str] | None = None,
    hint: str | None = None,
) -> Response[Problem]:
    """One error answer."""
    content = Problem(
        type=slug,
        title=slug.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        message=message,
        hint=hint,
    )
    return Response(content, status_code=status, media_type=PROBLEM_JSON, headers=headers)


def refused(error: DomainError) -> Response[Problem]:
    """What is answered where a command or query cannot be honoured."""
    status = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
    headers = {"Retry-After": RETRY_SECONDS} if status == STATUS[Unavailable] else None
    detail: Any = error.message
    if isinstance(error, GraphInvalid):
        detail = {
            "type": error.slug,
            "message": error.message,
            "node_errors": error.node_errors,
            "errors": error.errors,
        }
    return problem(status, error.slug, detail, error.message, headers=headers, hint=error.hint)


def _domain(_: AnyRequest, error: DomainError) -> Response[Problem]:
    return refused(error)


def _http(_: AnyRequest, error: HTTPException) -> Response[Problem]:
    status = error.status_code
    if status >= 500:  # noqa: PLR2004
        return _unexpected(_, error)
    detail = error.detail
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        places = [_place(entry) for entry in error.extra if isinstance(entry, dict)]
        detail = "; ".join(places) or detail
    return problem(status, SLUGS.get(status, "refused"), detail, detail, headers=error.headers)


def _left(request: AnyRequest, error: ClientLeft) -> Response[Problem]:
    log.debug("request.left", **_about(request))
    return _http(request, error)


def _place(entry: dict[str, Any]) -> str:
    key, message = entry.get("key"), str(entry.get("message", ""))
    if key == BODY:
        # The framework names the handler's argument, and says nothing else of an empty body.
        return "The body must be JSON" if message == repr(BODY) else f"The body: {message}"
    return f"{key}: {message}" if key else message


def _too_new(request: AnyRequest, error: Exception) -> Response[Problem]:
    log.error("request.unknown_event", **_about(request), error=str(error))
    message = "This was written by a newer program than the one that answers."
    return _domain(request, Unavailable(message))


def _database(request: AnyRequest, error: Exception) -> Response[Problem]:
    outage = outages.of(error)
    if outage is None:
        return _unexpected(request, error)
    log.warning("request.database_lost", error=repr(error))
    return _domain(request, outage)


def _out_of_memory(request: AnyRequest, error: MemoryError) -> Response[Problem]:
    log.error("request.out_of_memory", **_about(request), exc_info=error)
    process.out_of_memory()
    return _domain(request, Unavailable("There is no memory left; this process begins anew."))


def _about(request: AnyRequest) -> dict[str, str | None]:
    """What a log says of a request: the route as it is written, since what clients put into it may
    be a secret, and who a token proved them to be.
    """
    user: Principal | None = request.scope.get("user")
    return {
        "route": f"{request.method} {request.scope.get('path_template', '')}",
        "user": None if user is None else user.user_id,
    }


def _unexpected(request: AnyRequest, error: Exception) -> Response[Problem]:
    log.error("request.failed", **_about(request), exc_info=error)
    return problem(500, INTERNAL_ERROR, INTERNAL_MESSAGE, INTERNAL_MESSAGE)


HANDLERS: ExceptionHandlersMap = {
    DomainError: _domain,
    HTTPException: _http,
    ClientLeft: _left,
    UnknownEventType: _too_new,
    psycopg.Error: _database,
    TimeoutError: _database,
    MemoryError: _out_of_memory,
    Exception: _unexpected,
}
