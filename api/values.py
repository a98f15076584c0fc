"""Values that answers only refer to, fetched alone by their hashes."""

from __future__ import annotations

import re
from typing import Any

from litestar import MediaType, Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.response import Stream
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

from api.http.calls import AnyRequest
from api.http.problems import refusals
from api.services import Services
from domain.errors import NotFound
from runtime.eventlog.values import ValueMissing

HASH = re.compile(r"[0-9a-f]{64}")

KEPT = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Authorization"}
"""What has this hash never changes, and belongs to whoever asked."""

Json = dict[str, Any] | list[Any] | str | int | float | bool | None

VALUE = ResponseSpec(
    Json,
    generate_examples=False,
    description="The value as JSON. Its ETag is its hash; it may be kept for ever.",
    media_type=MediaType.JSON,
)


@get(
    "/values/{value_id:str}",
    operation_id="getV1GetValue",
    responses={HTTP_200_OK: VALUE, **refusals(404)},
    tags=["values"],
)
async def get_value(
    request: AnyRequest, value_id: FromPath[str], services: NamedDependency[Services]
) -> Response[Any]:
    """A value of the caller's runs that an answer or a message refers to as `large_value`."""
    store, owner = services.log.values, request.user.user_id
    if not HASH.fullmatch(value_id):
        raise _not_found(value_id)
    try:
        sizes = await store.sizes(owner, [value_id])
    except ValueMissing:
        raise _not_found(value_id) from None
    size = sizes[value_id]
    headers = {**KEPT, "ETag": f'"{value_id}"'}
    if _has_it(request, headers["ETag"]):
        return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Stream(
        store.pieces(owner, value_id, size),
        media_type=MediaType.JSON,
        headers={**headers, "Content-Length": str(size)},
    )


def _has_it(request: AnyRequest, tag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in known.split(","))


def _not_found(value_id: str) -> NotFound:
    return NotFound(f"Value {value_id} not found")


handlers = [get_value]
