"""Users: who the token says they are."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.exceptions import ValidationException

from api.http.calls import AnyRequest, answer, context_of
from api.http.operations import Command
from api.http.problems import refusals
from api.services import Services
from commands import users
from domain.users import User


class UserModel(msgspec.Struct):
    id: str
    email: str
    name: str | None
    created_at: datetime
    updated_at: datetime


@post(
    "/auth/user",
    operation_class=Command,
    operation_id="postV1GetOrCreateUser",
    responses=refusals(413, 422),
    status_code=200,
    tags=["auth"],
)
async def get_or_create_user(
    request: AnyRequest, services: NamedDependency[Services]
) -> Response[UserModel]:
    """Get the token's user, created now if this is the first time."""
    principal = request.user
    if principal.email is None:
        raise ValidationException("The token has no email")
    context = await context_of(request)
    done = await users.get_or_create(
        services.repository,
        context,
        email=principal.email,
        name=principal.name,
        signup_credits=services.settings.signup_credits,
    )
    return answer(services, context, done, _shown(done.answer))


def _shown(user: User) -> UserModel:
    return UserModel(
        id=user.user_id,
        email=user.email,
        name=user.name,
        created_at=user.created_at,
        updated_at=user.updated_at,
    )


handlers = [get_or_create_user]
