"""Commands on accounts."""

from __future__ import annotations

import pytest

from commands import credits as commands
from commands.context import Context
from commands.streams import Streams
from domain import credits as accounts
from domain.credits import CreditsGranted
from domain.errors import Invalid
from tests.support.log import whole_stream


async def test_a_grant_adds_up_and_is_the_owners(streams: Streams) -> None:
    worker = Context(owner="ada", actor="worker:one")
    await commands.grant(streams, worker, amount=3, reason="signup")
    done = await commands.grant(streams, worker, amount=4, reason="gift")
    assert (done.answer.granted, done.answer.available) == (7, 7)
    recorded = await whole_stream(streams.log, accounts.stream_of("ada"))
    assert [entry.event for entry in recorded] == [
        CreditsGranted(amount=3, reason="signup"),
        CreditsGranted(amount=4, reason="gift"),
    ]
    assert (await commands.load(streams, "eve")).state == accounts.EMPTY


@pytest.mark.parametrize("amount", [0, -1])
async def test_a_grant_is_at_least_one_credit(streams: Streams, amount: int) -> None:
    with pytest.raises(Invalid):
        await commands.grant(streams, Context("ada", "ada"), amount=amount, reason="")
    assert await streams.log.read_head() == 0
