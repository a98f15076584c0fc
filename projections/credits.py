"""Accounts: what was granted, spent and is held, one row a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from domain.credits import CreditsGranted, CreditsHeld, HoldReleased, HoldSettled
from domain.events import Event, unexpected
from projections.projection import Recorded, topics_of
from runtime import sql
from runtime.database import Row

UPSERT = sql.load(__file__, "upsert_accounts")


class Sums(msgspec.Struct):
    """What a batch adds to one account."""

    granted: int = 0
    spent: int = 0
    held: int = 0
    position: int = 0

    def add(self, event: Event) -> None:
        match event:
            case CreditsGranted(amount=amount):
                self.granted += amount
            case CreditsHeld(amount=amount):
                self.held += amount
            case HoldSettled(held=held, spent=spent):
                self.held -= held
                self.spent += spent
            case HoldReleased(held=held):
                self.held -= held
            case _:
                raise unexpected(event, "an account")


class CreditsProjection:
    """Adds up every movement."""

    name = "credits"
    topics = topics_of(CreditsGranted, CreditsHeld, HoldSettled, HoldReleased)
    tables: tuple[str, ...] = ("read.accounts",)

    async def apply(self, connection: AsyncConnection[Row], batch: Sequence[Recorded]) -> None:
        """One upsert a batch."""
        accounts: dict[str, Sums] = {}
        for recorded in batch:
            sums = accounts.setdefault(recorded.owner, Sums())
            sums.add(recorded.event)
            sums.position = recorded.position
        await connection.execute(UPSERT, _columns(accounts))


def _columns(accounts: dict[str, Sums]) -> dict[str, list[Any]]:
    return {
        "user_ids": list(accounts),
        "granted": [sums.granted for sums in accounts.values()],
        "spent": [sums.spent for sums in accounts.values()],
        "held": [sums.held for sums in accounts.values()],
        "positions": [sums.position for sums in accounts.values()],
    }
