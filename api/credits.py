"""Credits: what the caller's account holds."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency

from api.http.calls import AnyRequest
from api.http.problems import refusals
from api.services import Services
from domain.credits import ACCOUNT


@get("/credits", operation_id="getV1GetUserCredits", responses=refusals(), tags=["credits"])
async def get_credits(request: AnyRequest, services: NamedDependency[Services]) -> dict[str, int]:
    """Credits that can be spent now; what is held for runs is not among them."""
    account = await services.repository.load(ACCOUNT, request.user.user_id)
    return {"credits": account.state.available}


handlers = [get_credits]
