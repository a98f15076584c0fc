"""The rules of accounts, one by one. That they hold together is in tests/properties."""

from __future__ import annotations

import pytest

from domain import credits as accounts
from domain.credits import Account, CreditsGranted, CreditsHeld, HoldReleased, HoldSettled
from domain.errors import Invalid, PaymentRequired
from domain.events import Event

ACCOUNT = Account(granted=100, spent=10, holds={"run": 30})


def after(account: Account, events: list[Event]) -> Account:
    for event in events:
        account = accounts.evolve(account, event)
    return account


def test_what_is_held_is_not_available() -> None:
    assert (ACCOUNT.held, ACCOUNT.available) == (30, 60)
    assert (accounts.Account().held, accounts.Account().available) == (0, 0)


def test_granting() -> None:
    assert accounts.grant(ACCOUNT, amount=5, reason="gift") == [CreditsGranted(5, "gift")]
    assert after(ACCOUNT, [CreditsGranted(5, "gift")]).available == 65


def test_holding_up_to_what_is_available() -> None:
    assert accounts.hold(ACCOUNT, hold="other", amount=60) == [CreditsHeld("other", 60)]
    assert after(ACCOUNT, [CreditsHeld("other", 60)]).available == 0
    with pytest.raises(PaymentRequired):
        accounts.hold(ACCOUNT, hold="other", amount=61)
    assert accounts.hold(ACCOUNT, hold="other", amount=0) == []
    with pytest.raises(Invalid):
        accounts.hold(ACCOUNT, hold="other", amount=-1)


def test_a_hold_can_grow() -> None:
    account = after(ACCOUNT, accounts.hold(ACCOUNT, hold="run", amount=10))
    assert account.holds == {"run": 40}


def test_settling_frees_the_rest() -> None:
    events = accounts.settle(ACCOUNT, hold="run", spent=12)
    assert events == [HoldSettled("run", held=30, spent=12)]
    assert after(ACCOUNT, events) == Account(granted=100, spent=22, holds={})


def test_settling_for_nothing_is_a_release() -> None:
    events = accounts.settle(ACCOUNT, hold="run", spent=0)
    assert events == [HoldReleased("run", held=30)]
    assert after(ACCOUNT, events) == Account(granted=100, spent=10, holds={})


@pytest.mark.parametrize("spent", [31, -1])
def test_no_more_is_spent_than_was_held(spent: int) -> None:
    with pytest.raises(Invalid):
        accounts.settle(ACCOUNT, hold="run", spent=spent)


def test_settling_twice_or_without_a_hold_does_nothing() -> None:
    assert accounts.settle(ACCOUNT, hold="unknown", spent=5) == []


def test_only_an_account_with_credits_may_start_something() -> None:
    accounts.require_positive(ACCOUNT)
    for account in (accounts.Account(), Account(granted=5, holds={"run": 5})):
        with pytest.raises(PaymentRequired):
            accounts.require_positive(account)
