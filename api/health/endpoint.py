"""Health: whether this process answers, whether commands are taken, and what else is amiss."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from msgspec import UNSET, UnsetType

from api.health.checkup import Reason
from api.http.auth import PUBLIC
from api.services import Services


class Health(msgspec.Struct):
    """`part` is that of the first reason, if there is any."""

    status: str
    part: str | UnsetType = UNSET
    reasons: Sequence[Reason] = ()


UNHEALTHY = {503: ResponseSpec(Health, generate_examples=False, description="Unhealthy")}


@get("/health/live", operation_id="getHealthLive", tags=["health"], opt={PUBLIC: True})
async def live() -> Health:
    """200 whenever this process answers at all."""
    return Health("healthy")


@get(
    "/health/ready",
    operation_id="getHealthReady",
    responses=UNHEALTHY,
    tags=["health"],
    opt={PUBLIC: True},
)
async def ready(services: NamedDependency[Services]) -> Response[Health]:
    """200 when commands can be taken: the database answers, and the log takes appends.

    Otherwise 503 with the reason.
    """
    report = await services.checkup.report()
    return _healthy() if report.refusal is None else _unhealthy(report.refusal)


@get(
    "/health",
    operation_id="getHealth",
    responses=UNHEALTHY,
    tags=["health"],
    opt={PUBLIC: True},
)
async def health(services: NamedDependency[Services]) -> Response[Health]:
    """200 when commands are taken, otherwise 503 with the reason.

    The status is `degraded` when they are taken and what they ask for may come late, with the
    reasons.
    """
    report = await services.checkup.report()
    if report.refusal is not None:
        return _unhealthy(report.refusal)
    delays = report.delays
    return Response(Health("degraded", delays[0].part, delays)) if delays else _healthy()


def _healthy() -> Response[Health]:
    return Response(Health("healthy"))


def _unhealthy(reason: Reason) -> Response[Health]:
    return Response(Health("unhealthy", reason.part, [reason]), status_code=503)


handlers = [live, ready, health]
