"""Reviews: what runs ask people, and what people answer (docs/engine-rules.md, 4.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from api.http.calls import AnyRequest, answer, catch_up, context_of
from api.http.operations import Command, Listing
from api.http.paging import Page, PageSize, offset_of
from api.http.problems import refusals
from api.services import Services
from commands import reviews
from domain.bounds import documented
from domain.errors import Conflict, Invalid, NotFound
from domain.json_values import check_text
from domain.large_values import LargeValue
from domain.limits import request_limits, run_limits
from domain.reviews import ReviewDecision
from projections import reviews as review_lists
from projections.reviews import ReviewPlace, ReviewRow, ReviewStatus
from projections.runs import details


class PendingHumanReviewModel(msgspec.Struct, kw_only=True):
    """A question. `payload` is what is to be judged, `instructions` says what that is.

    A payload of which the JSON has more than 64 KiB is by reference, `{"large_value": <its hash>}`,
    and fetched alone at `/values/<its hash>`; `large_values` has its size then.
    """

    node_exec_id: str
    node_id: str
    user_id: str
    graph_exec_id: str
    graph_id: str
    graph_version: int
    payload: Any
    large_values: dict[str, int] = {}
    instructions: str | None
    editable: bool
    status: ReviewStatus
    review_message: str | None = None
    was_edited: bool | None = None
    processed: bool = False
    created_at: datetime
    updated_at: datetime | None = None
    reviewed_at: datetime | None = None


class ReviewItem(msgspec.Struct):
    """An answer. `reviewed_data`, unless null, takes the place of an editable payload.

    With `auto_approve_future` an approval holds for the node's later executions in the run too;
    then the payload stays as it is.
    """

    node_exec_id: str
    approved: bool
    message: Annotated[str | None, documented(maxLength=run_limits.REVIEW_MESSAGE_CHARS_MAX)] = None
    reviewed_data: Any = None
    auto_approve_future: bool = False


class ReviewRequest(msgspec.Struct):
    """Answers to questions of one run."""

    reviews: Annotated[
        list[ReviewItem], documented(minItems=1, maxItems=request_limits.REVIEWS_DECIDED_MAX)
    ]


class ReviewResponse(msgspec.Struct):
    """All answers are taken or none, so none fails here."""

    approved_count: int
    rejected_count: int
    failed_count: int = 0
    error: str | None = None


@get(
    "/review/pending",
    operation_class=Listing,
    operation_id="getV1GetPendingReviews",
    responses=refusals(),
    tags=["reviews"],
)
async def list_pending(
    request: AnyRequest,
    services: NamedDependency[Services],
    page: Page = 1,
    page_size: PageSize = 25,
) -> list[PendingHumanReviewModel]:
    """What the caller's runs ask, newest first, in pages."""
    offset = offset_of(page, page_size)
    await catch_up(services, request)
    async with services.log.pool.connection() as connection:
        rows = await review_lists.list_waiting(
            connection, user_id=request.user.user_id, limit=page_size, offset=offset
        )
    return await _models(services, request.user.user_id, rows)


@get(
    "/review/execution/{run_id:str}",
    operation_class=Listing,
    operation_id="getV1GetPendingReviewsForExecution",
    responses=refusals(404),
    tags=["reviews"],
)
async def list_of_run(
    request: AnyRequest,
    run_id: FromPath[str],
    services: NamedDependency[Services],
    page: Page = 1,
    page_size: PageSize = request_limits.PAGE_SIZE_MAX,
) -> list[PendingHumanReviewModel]:
    """What one run asks, in the order of its node executions, in pages."""
    offset = offset_of(page, page_size)
    await details.creation(services.log, run_id, request.user.user_id)
    await catch_up(services, request)
    async with services.log.pool.connection() as connection:
        rows = await review_lists.list_of_run(
            connection, run_id=run_id, limit=page_size, offset=offset
        )
    return await _models(services, request.user.user_id, rows)


@post(
    "/review/action",
    operation_class=Command,
    operation_id="postV1ProcessReviewAction",
    responses=refusals(404, 409, 413, 422),
    status_code=200,
    tags=["reviews"],
    request_max_body_size=request_limits.REVIEW_REQUEST_BYTES_MAX,
)
async def decide(
    request: AnyRequest, data: JSONBody[ReviewRequest], services: NamedDependency[Services]
) -> Response[ReviewResponse]:
    """Answer questions of one run, all or none of them. The run goes on with what it has got."""
    places = await _places(services, request.user.user_id, data.reviews)
    run_ids = {place.run_id for place in places.values()}
    if len(run_ids) > 1:
        raise Conflict("All reviews must belong to the same execution")
    context = await context_of(request)
    done = await reviews.decide(
        services.repository,
        context,
        run_id=run_ids.pop(),
        decisions=[_decision(item, places) for item in data.reviews],
    )
    approved = sum(item.approved for item in data.reviews)
    counted = ReviewResponse(approved_count=approved, rejected_count=len(data.reviews) - approved)
    return answer(services, context, done, counted)


async def _places(
    services: Services, user_id: str, items: list[ReviewItem]
) -> Mapping[str, ReviewPlace]:
    """Where the questions came from. Raises Invalid for none or too many, NotFound."""
    if not items:
        raise Invalid("At least one review must be given")
    if len(items) > request_limits.REVIEWS_DECIDED_MAX:
        raise Invalid(f"At most {request_limits.REVIEWS_DECIDED_MAX} reviews are decided at once")
    for item in items:
        check_text(item.node_exec_id, "node_exec_id")
    wanted = {item.node_exec_id for item in items}
    found = await _find(services, user_id, wanted)
    if found.keys() != wanted:
        # The run's own page may have shown a question that the read model has yet to see.
        await services.catch_up(user_id, await services.log.read_head())
        found = await _find(services, user_id, wanted)
    missing = next((item for item in items if item.node_exec_id not in found), None)
    if missing is not None:
        raise NotFound(f"Review {missing.node_exec_id} not found")
    return found


async def _find(services: Services, user_id: str, wanted: set[str]) -> Mapping[str, ReviewPlace]:
    async with services.log.pool.connection() as connection:
        return await review_lists.find(connection, user_id=user_id, node_exec_ids=wanted)


def _decision(item: ReviewItem, places: Mapping[str, ReviewPlace]) -> ReviewDecision:
    return ReviewDecision(
        execution=places[item.node_exec_id].execution,
        approved=item.approved,
        data=UNSET if item.reviewed_data is None else item.reviewed_data,
        message=item.message or "",
        auto_approve=item.auto_approve_future,
    )


async def _models(
    services: Services, user_id: str, rows: Sequence[ReviewRow]
) -> list[PendingHumanReviewModel]:
    large = {row.large for row in rows if row.large is not None}
    sizes = await services.log.values.sizes(user_id, large)
    return [_model(row, sizes) for row in rows]


def _model(row: ReviewRow, sizes: Mapping[str, int]) -> PendingHumanReviewModel:
    key = row.large
    return PendingHumanReviewModel(
        node_exec_id=row.node_exec_id,
        node_id=row.node_id,
        user_id=row.user_id,
        graph_exec_id=row.run_id,
        graph_id=row.graph_id,
        graph_version=row.graph_version,
        payload=row.payload if key is None else LargeValue(key),
        large_values={} if key is None else {key: sizes[key]},
        instructions=row.name,
        editable=row.editable,
        status=ReviewStatus(row.status),
        created_at=row.created_at,
    )


handlers = [list_pending, list_of_run, decide]
