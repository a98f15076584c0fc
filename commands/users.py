"""Users: registered by their first token, with an account that begins with a grant."""

from __future__ import annotations

from typing import cast

from domain import credits as accounts
from domain import users
from domain.credits import ACCOUNT
from domain.users import USER, User
from runtime import clock
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Repository

SIGNUP = "signup"


async def get_or_create(
    repository: Repository,
    context: CommandContext,
    *,
    email: str,
    name: str | None,
    signup_credits: int,
) -> Done[User]:
    """The user of the context, registered now if this is the first time.

    User, account and grant are one append: nobody sees a user without credits.
    """

    async def decide() -> Decision[User]:
        loaded = await repository.load(USER, context.owner)
        events = users.get_or_create(
            loaded.state, user_id=context.owner, email=email, name=name, at=clock.now()
        )
        writes = loaded.write(events)
        if loaded.state is None and signup_credits:
            account = await repository.load(ACCOUNT, context.owner)
            granted = accounts.grant(account.state, amount=signup_credits, reason=SIGNUP)
            writes += account.write(granted)
        return Decision(writes=writes, answer=cast("User", loaded.after(events).state))

    return await repository.execute(context, decide, User)
