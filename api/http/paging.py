"""Lists in pages: numbered, as the contract has them, or as many items as there is room for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar.params import PathParameter, QueryParameter

from domain.errors import Invalid
from domain.limits import graph_limits, request_limits, value_limits

Page = Annotated[
    int, QueryParameter(schema_extra={"minimum": 1, "maximum": request_limits.PAGE_MAX})
]
PageSize = Annotated[
    int, QueryParameter(schema_extra={"minimum": 1, "maximum": request_limits.PAGE_SIZE_MAX})
]
ExecutionsLimit = Annotated[
    int, QueryParameter(schema_extra={"minimum": 1, "maximum": request_limits.EXECUTIONS_PAGE})
]
After = Annotated[
    int, QueryParameter(schema_extra={"minimum": 0, "maximum": value_limits.JSON_INTEGER_MAX})
]
_VERSIONS = {"minimum": 1, "maximum": graph_limits.GRAPH_VERSION_MAX}
VersionInPath = Annotated[int, PathParameter(schema_extra=_VERSIONS)]
VersionInQuery = Annotated[int | None, QueryParameter(schema_extra=_VERSIONS)]
"""The document says the bounds; who refuses what is beyond them says why."""


class Pagination(msgspec.Struct):
    total_items: int
    total_pages: int
    current_page: int
    page_size: int


def check_after(after: int, name: str = "after") -> int:
    """How many items come before a page that begins behind so many. Raises Invalid."""
    if not 0 <= after <= value_limits.JSON_INTEGER_MAX:
        raise Invalid(f"{name} must be a whole number from 0")
    return after


def next_link(after: int | None) -> dict[str, str]:
    """The header that says where a list goes on which is an array without a place to say it."""
    return {} if after is None else {"Link": f'<?after={after}>; rel="next"'}


def offset_of(page: int, page_size: int) -> int:
    """How many items come before a page. Raises Invalid for a page out of bounds."""
    if not (
        1 <= page <= request_limits.PAGE_MAX and 1 <= page_size <= request_limits.PAGE_SIZE_MAX
    ):
        raise Invalid(
            f"page must be from 1 to {request_limits.PAGE_MAX} and page_size from 1 to"
            f" {request_limits.PAGE_SIZE_MAX}"
        )
    return (page - 1) * page_size


def pagination(total: int, page: int, page_size: int) -> Pagination:
    return Pagination(
        total_items=total,
        total_pages=-(-total // page_size),
        current_page=page,
        page_size=page_size,
    )
