"""On whose behalf a command runs, and under which key it may be repeated."""

from __future__ import annotations

from uuid import UUID

import msgspec

from runtime.eventlog.log import Origin


class Idempotency(msgspec.Struct, frozen=True):
    """A caller's key, and the hash of the request that it was first sent with."""

    key: str
    request_hash: bytes


class CommandContext(msgspec.Struct, frozen=True):
    """`owner` is the tenant whose things are changed; `actor` is who changes them."""

    owner: str
    actor: str
    correlation: UUID | None = None
    idempotency: Idempotency | None = None

    @property
    def origin(self) -> Origin:
        return Origin(owner=self.owner, actor=self.actor, correlation=self.correlation)
