"""What the product's code finds in the place of the outside world while a simulation runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol
from unittest.mock import patch

from projections.runs.read_model import RunsProjection
from runtime import clock, database, ids
from runtime import nats as nats_runtime
from tests.simulation import connections, nats
from tests.simulation.blocks import BLOCKS, PROMISES
from tests.simulation.connections import Connection, SyncConnection
from tests.simulation.database import Server
from tests.simulation.log import MemoryLog
from tests.simulation.log_listener import SimulatedLogListener
from tests.simulation.loop import OWNER
from tests.simulation.service import Service
from tests.support.bounds import area_of
from workers import heartbeat, projector, relay, sweeper
from workers.executor import attempts, children, executor, wake_ups


class World(Protocol):
    """What there is to find."""

    server: Server
    nats: nats.Server
    service: Service

    def new_id(self) -> bytes: ...


class _ClockOfWhoAsks:
    def __getattr__(self, name: str) -> Any:
        return getattr(OWNER.get().clock, name)


@contextmanager
def installed(world: World, bounds: dict[str, Any]) -> Iterator[None]:
    """Let all processes meet `world`, with some of the product's limits changed to `bounds`."""
    server = world.server

    async def connect(_url: str, _application: str) -> Connection:
        return Connection(server, server.connect())

    async def beat(_url: str, _application: str, say: connections.Say, seconds: float) -> None:
        await connections.beat(server, say, seconds)

    def log(_url: str, _application: str) -> MemoryLog:
        return MemoryLog(server)

    def broker(*arguments: Any) -> nats.SimulatedBroker:
        return nats.SimulatedBroker(world.nats, *arguments)

    def log_listener(_url: str, _application: str) -> SimulatedLogListener:
        return SimulatedLogListener(server)

    with ExitStack() as stack:
        for place, name, instead in (
            (clock, "_clock", _ClockOfWhoAsks()),
            (ids, "new_id_bytes", world.new_id),
            (ids, "new_secret", lambda _=0: world.new_id().hex()),
            (database, "connect", connect),
            (nats_runtime, "ensure_stream", nats.ensure_stream),
            (nats_runtime, "waiting_wake_ups", nats.waiting_wake_ups),
            (heartbeat, "beat", beat),
            (heartbeat, "connect", lambda _url, _application: SyncConnection(server)),
            (executor, "EventLog", log),
            (executor, "Egress", lambda _: world.service),
            (wake_ups, "Broker", broker),
            (attempts, "CATALOGUE", BLOCKS),
            (children, "CONTRACTS", PROMISES),
            (relay, "Broker", broker),
            (relay, "LogListener", log_listener),
            (projector, "LogListener", log_listener),
            (projector, "PROJECTIONS", [RunsProjection()]),
            (sweeper, "Broker", broker),
            (sweeper, "EventLog", log),
            *((area_of(name), name, value) for name, value in bounds.items()),
        ):
            stack.enter_context(patch.object(place, name, instead))
        yield
