"""Credits are conserved: granted = available + held + spent, and nothing is ever below zero."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from psycopg import AsyncConnection

from domain import credits as accounts
from domain.credits import Account
from domain.errors import Conflict, DomainError, Invalid, PaymentRequired
from domain.events import Event
from projections.catalogue import PROJECTIONS
from projections.credits import Sums
from projections.runner import Runner
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Repository
from tests.support import credits as credit_support
from tests.support.log import whole_stream

AMOUNTS = st.integers(-5, 200)
HOLDS = st.sampled_from("abcd")


def check(account: Account) -> None:
    assert account.granted == account.available + account.held + account.spent
    assert account.available >= 0
    assert account.spent >= 0
    assert all(amount > 0 for amount in account.holds.values())


class Accounts(RuleBasedStateMachine):
    """An account, driven by its deciders beside a ledger that only adds up."""

    def __init__(self) -> None:
        super().__init__()
        self.account = accounts.Account()
        self.sums = Sums()

    def decide(self, decider: Callable[[], Sequence[Event]]) -> None:
        try:
            events = decider()
        except DomainError:
            return
        for event in events:
            self.account = accounts.evolve(self.account, event)
            self.sums.add(event)

    @rule(amount=AMOUNTS)
    def grant(self, amount: int) -> None:
        self.decide(lambda: accounts.grant(self.account, amount=amount, reason=""))

    @rule(hold=HOLDS, amount=AMOUNTS)
    def hold(self, hold: str, amount: int) -> None:
        self.decide(lambda: accounts.hold(self.account, hold=hold, amount=amount))

    @rule(hold=HOLDS, spent=AMOUNTS)
    def settle(self, hold: str, spent: int) -> None:
        self.decide(lambda: accounts.settle(self.account, hold=hold, spent=spent))

    @invariant()
    def is_conserved(self) -> None:
        check(self.account)
        account = self.account
        assert (self.sums.granted, self.sums.held, self.sums.spent) == (
            *(account.granted, account.held, account.spent),
        )


TestAccounts = Accounts.TestCase


@pytest.mark.parametrize("seed", range(3))
async def test_credits_are_conserved_in_a_crowd(
    repository: Repository, superuser_url: str, seed: int
) -> None:
    ada = CommandContext(owner="ada", actor="ada")

    async def move(decider: Callable[[Account], Sequence[Event]]) -> None:
        async def decide() -> Decision[Account]:
            loaded = await repository.load(accounts.ACCOUNT, "ada")
            return Decision(loaded.write(decider(loaded.state)), answer=loaded.state)

        await repository.execute(ada, decide, Account)

    async def one_run(number: int) -> None:
        chance = random.Random(seed * 1_000 + number)
        hold = f"run-{number}"
        await credit_support.grant(repository, ada, amount=chance.randrange(1, 9), reason="gift")
        await move(lambda account: accounts.hold(account, hold=hold, amount=chance.randrange(12)))
        await move(lambda account: accounts.hold(account, hold=hold, amount=chance.randrange(6)))
        await move(lambda account: accounts.settle(account, hold=hold, spent=chance.randrange(9)))

    results = await asyncio.gather(*(one_run(n) for n in range(40)), return_exceptions=True)
    refusals = PaymentRequired | Invalid | Conflict
    assert all(result is None or isinstance(result, refusals) for result in results)
    account = accounts.Account()
    for entry in await whole_stream(repository.log, accounts.ACCOUNT.stream_of("ada")):
        account = accounts.evolve(account, entry.event)
        check(account)
    async with await AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        runner = Runner(connection, PROJECTIONS)
        await runner.open()
        await runner.step()
        cursor = await connection.execute("SELECT granted, held, spent FROM read.accounts")
        assert await cursor.fetchall() == [(account.granted, account.held, account.spent)]
