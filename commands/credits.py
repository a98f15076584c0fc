"""Credits: what an account holds, and additions to it."""

from __future__ import annotations

from commands.context import Context
from commands.streams import Decision, Done, Loaded, Streams
from domain import credits as accounts
from domain.credits import Account


async def load(streams: Streams, user_id: str) -> Loaded[Account]:
    """The account's stream, folded."""
    return await streams.load(accounts.stream_of(user_id), accounts.EMPTY, accounts.evolve)


async def grant(streams: Streams, context: Context, *, amount: int, reason: str) -> Done[Account]:
    """Add credits to the owner's account. Raises Invalid for an amount below 1."""

    async def decide() -> Decision[Account]:
        loaded = await load(streams, context.owner)
        events = accounts.grant(loaded.state, amount=amount, reason=reason)
        account = accounts.evolve(loaded.state, events[0])
        return Decision(writes=loaded.write(events), answer=account)

    return await streams.execute(context, decide, Account)
