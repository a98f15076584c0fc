"""Users: registered by their first token, with an account that begins with a grant."""

from __future__ import annotations

from typing import cast

from commands.context import Context
from commands.streams import Decision, Done, Loaded, Streams
from domain import credits as accounts
from domain import users
from domain.users import User
from runtime import clock

SIGNUP = "signup"


async def load(streams: Streams, user_id: str) -> Loaded[User | None]:
    """The user's stream, folded."""
    return await streams.load(users.stream_of(user_id), None, users.evolve)


async def get_or_create(
    streams: Streams, context: Context, *, email: str, name: str | None, signup_credits: int
) -> Done[User]:
    """The user of the context, registered now if this is the first time.

    User, account and grant are one append: nobody sees a user without credits.
    """

    async def decide() -> Decision[User]:
        loaded = await load(streams, context.owner)
        events = users.get_or_create(
            loaded.state, user_id=context.owner, email=email, name=name, at=clock.now()
        )
        writes = loaded.write(events)
        if loaded.state is None and signup_credits:
            stream = accounts.stream_of(context.owner)
            account = await streams.load(stream, accounts.EMPTY, accounts.evolve)
            granted = accounts.grant(account.state, amount=signup_credits, reason=SIGNUP)
            writes += account.write(granted)
        user = loaded.state
        for event in events:
            user = users.evolve(user, event)
        return Decision(writes=writes, answer=cast("User", user))

    return await streams.execute(context, decide, User)
