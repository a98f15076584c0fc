"""Credits for a test's users: there is no top-up yet."""

from __future__ import annotations

from domain import credits as accounts
from domain.credits import ACCOUNT, Account
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Repository


async def grant(
    repository: Repository, context: CommandContext, *, amount: int, reason: str
) -> Done[Account]:
    """Add credits to the owner's account. Raises Invalid for an amount below 1."""

    async def decide() -> Decision[Account]:
        loaded = await repository.load(ACCOUNT, context.owner)
        events = accounts.grant(loaded.state, amount=amount, reason=reason)
        return Decision(writes=loaded.write(events), answer=loaded.after(events).state)

    return await repository.execute(context, decide, Account)
