"""Credits: an account that is granted to, held from, settled and released; never negative.

A hold sets credits aside before the work; settling spends what the work cost and frees the rest.
So `granted = available + held + spent` at every version of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from domain.aggregates import Aggregate
from domain.errors import Invalid, PaymentRequired
from domain.events import Event, event, unexpected
from domain.states import STATE_BYTES, State

NO_BALANCE = "Insufficient balance to execute the agent. Please top up your account."


HOLD_BYTES = 250
"""What a hold that is open takes in memory."""


@event("credits.CreditsGranted")
class CreditsGranted(Event, frozen=True):
    amount: int
    reason: str


@event("credits.CreditsHeld")
class CreditsHeld(Event, frozen=True):
    """A further amount set aside under the hold, which is opened by its first."""

    hold: str
    amount: int


@event("credits.HoldSettled")
class HoldSettled(Event, frozen=True):
    """The hold of `held` credits is closed: `spent` is gone, the rest is available again."""

    hold: str
    held: int
    spent: int


@event("credits.HoldReleased")
class HoldReleased(Event, frozen=True):
    """The hold of `held` credits is closed and nothing was spent."""

    hold: str
    held: int


class Account(State, frozen=True):
    granted: int = 0
    spent: int = 0
    holds: Mapping[str, int] = {}

    @property
    def weight(self) -> int:
        return STATE_BYTES + HOLD_BYTES * len(self.holds)

    @property
    def held(self) -> int:
        return sum(self.holds.values())

    @property
    def available(self) -> int:
        return self.granted - self.spent - self.held


def evolve(account: Account, happened: Event) -> Account:
    """The account after one more event of the stream."""
    match happened:
        case CreditsGranted(amount=amount):
            return msgspec.structs.replace(account, granted=account.granted + amount)
        case CreditsHeld(hold=hold, amount=amount):
            holds = {**account.holds, hold: account.holds.get(hold, 0) + amount}
            return msgspec.structs.replace(account, holds=holds)
        case HoldSettled(hold=hold, spent=spent):
            return msgspec.structs.replace(
                account, spent=account.spent + spent, holds=_without(account.holds, hold)
            )
        case HoldReleased(hold=hold):
            return msgspec.structs.replace(account, holds=_without(account.holds, hold))
        case _:
            raise unexpected(happened, "an account")


ACCOUNT = Aggregate("credits", Account(), evolve)


def grant(_account: Account, *, amount: int, reason: str) -> list[Event]:
    """Add credits. Raises Invalid for an amount below 1."""
    if amount < 1:
        raise Invalid("a grant is at least 1 credit")
    return [CreditsGranted(amount=amount, reason=reason)]


def hold(account: Account, *, hold: str, amount: int) -> list[Event]:
    """Set credits aside. Raises PaymentRequired when the account has not that much."""
    if amount < 0:
        raise Invalid("a hold is not negative")
    if account.available < amount:
        raise PaymentRequired(NO_BALANCE)
    return [CreditsHeld(hold=hold, amount=amount)] if amount else []


def settle(account: Account, *, hold: str, spent: int) -> list[Event]:
    """Close a hold. Raises Invalid when more was spent than had been held."""
    held = account.holds.get(hold)
    if held is None:
        return []
    if not 0 <= spent <= held:
        raise Invalid(f"hold {hold} has {held} credits, {spent} cannot be spent from it")
    if spent == 0:
        return [HoldReleased(hold=hold, held=held)]
    return [HoldSettled(hold=hold, held=held, spent=spent)]


def require_positive(account: Account) -> None:
    """Raise PaymentRequired for an empty account: no run starts without credits (4.2, R1)."""
    if account.available <= 0:
        raise PaymentRequired(NO_BALANCE)


def _without(holds: Mapping[str, int], hold: str) -> Mapping[str, int]:
    return {key: amount for key, amount in holds.items() if key != hold}
