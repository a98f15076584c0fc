"""One simulation from its seed to its verdict."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import Context
from typing import Any, cast

import structlog

from domain.run_starts import UNBOUNDED
from domain.runs import RunStatus
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository, Scope
from runtime.clock import Clock
from runtime.eventlog.log import EventLog
from runtime.settings import Settings
from tests.simulation import checks, edges, nats
from tests.simulation.database import Server
from tests.simulation.faults import Faults
from tests.simulation.installation import Host, Main, Seat
from tests.simulation.log import MemoryLog
from tests.simulation.loop import OWNER, Process, VirtualLoop
from tests.simulation.people import Api, People
from tests.simulation.service import Service
from tests.simulation.tables import Tables
from workers import projector, relay, sweeper
from workers.executor.executor import Executor

RUNS_MAX = 10
FAULTY_SECONDS = 40.0
CALM_SECONDS_MAX = 150.0
"""How long what is not paused may take to end when nothing goes wrong any more."""
LOOK_SECONDS = 0.25
RECOVER_SECONDS = 5.0
USED_UP = "used up its budget"


class World:
    """Everything that a seed makes. `trace` is what happened, in order."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        outside = Process("outside", Clock(_never, lambda: 0.0))
        self.loop = VirtualLoop(self.chance, outside)  # type: ignore[abstract] # no files, no sockets
        self.context = Context()
        self.context.run(OWNER.set, outside)
        self.server = Server(self.loop, self.chance, Tables(), self.context)
        self.nats = nats.Server(self.loop, self.chance, self.context)
        self.service = Service(self.loop, self.chance, self.context)
        self.trace: list[str] = []
        self._ids = 0
        self.hosts = [Host(self.loop, self.chance) for _ in range(2)]
        self.hosts[1].offset = self.chance.choice((0.0, 0.0, -5.0, 3_600.0))
        api = Api(self.server)
        self.seats = [
            self._seat(name, number % 2, main)
            for number, (name, main) in enumerate(
                (
                    ("executor-1", _execute),
                    ("executor-2", _execute),
                    ("relay-1", relay.serve),
                    ("relay-2", relay.serve),
                    ("projector-1", projector.serve),
                    ("projector-2", projector.serve),
                    ("sweeper-1", sweeper.serve),
                    ("api-1", api.serve),
                )
            )
        ]
        self.people = People(self, api, self.seats[-1])
        self.faults = Faults(self)

    def new_id(self) -> bytes:
        """Later ones sort after earlier ones, as the product's do."""
        self._ids += 1
        return self._ids.to_bytes(8) + self.chance.randbytes(8)

    def note(self, what: str) -> None:
        self.trace.append(f"{self.loop.time():.6f} {what}")

    @property
    def digest(self) -> str:
        """The same for the same trace and the same log."""
        digest = hashlib.sha256("\n".join(self.trace).encode())
        for row in self.server.tables.rows:
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def bounds(self) -> dict[str, Any]:
        """Limits of the product by which this seed lives: small ones, so that they are met."""
        return {
            "SNAPSHOT_EVENTS": self.chance.choice((3, 10, 30)),
            "RUNS_REMEMBERED_MAX": self.chance.choice((1, 4, 1_024)),
            "STREAM_PAGE_EVENTS": self.chance.choice((3, 20, 500)),
            "RUN_FLUSH_EVENTS": self.chance.choice((2, 10, 256)),
            "WAKE_UP_ACK_SECONDS": 10,
        }

    async def live(self) -> None:
        """Raises AssertionError when something is broken."""
        settings = Settings(
            database_url="postgresql://simulated",
            nats_url="nats://simulated",
            runs_per_user=6,
            runs_per_graph=self.chance.choice((1, 1, 2, 4)),
            bytes_per_user=self.chance.choice((4_000, 10**9)),
        )
        keepers = [asyncio.ensure_future(seat.keep(settings)) for seat in self.seats]
        await self.people.move_in()
        keepers.append(asyncio.ensure_future(self.people.answer()))
        count = self.chance.randint(3, RUNS_MAX)
        await asyncio.gather(
            self.people.live(count, FAULTY_SECONDS), self.faults.live(FAULTY_SECONDS)
        )
        self.note("calm")
        await self._all_end(self.people.paused - self.people.resumed)
        await self.people.resume_all()
        await self._all_end(set())
        await self._catch_up()
        await self._judge()
        for keeper in keepers:
            keeper.cancel()

    def _seat(self, name: str, host: int, main: Main) -> Seat:
        return Seat(self.loop, self.chance, self.hosts[host], name, main)

    async def _all_end(self, but: set[str]) -> None:
        deadline = self.loop.time() + CALM_SECONDS_MAX
        while left := checks.unended(self.server.tables, but):
            assert self.loop.time() < deadline, f"I6: they never end: {left}"
            await asyncio.sleep(LOOK_SECONDS)

    async def _catch_up(self) -> None:
        deadline = self.loop.time() + CALM_SECONDS_MAX
        while self.server.tables.tracking.get("runs") != self.server.tables.head:
            assert self.loop.time() < deadline, "I4: the read model does not catch up"
            await asyncio.sleep(LOOK_SECONDS)

    async def _judge(self) -> None:
        checks.check(self.server, self.people.started, self.service.seen)
        failed = checks.with_failed_nodes(self.server.tables)
        repository = Repository(cast("EventLog", MemoryLog(self.server)))
        for run in self.people.started:
            folded = await RunRepository(repository).load(run.run_id, Scope(gathers_outputs=True))
            assert folded is not None
            if run.run_id in self.people.stopped and folded.status is RunStatus.TERMINATED:
                continue
            if run.budget != UNBOUNDED and USED_UP in str(folded.error):
                continue
            assert folded.status is RunStatus.COMPLETED, f"{run.run_id} is {folded.status}"
            if run.run_id not in failed:
                given = sorted(value for _, value in folded.outputs.values())
                assert given == sorted(run.outputs), f"{run.run_id} gives {given}"
        crashes = [crash for seat in self.seats for crash in seat.crashes]
        assert not crashes, crashes
        assert not self.loop.complaints, self.loop.complaints


class Broken(Exception):
    """Something in this world is not as it must be."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world


def simulate(seed: int) -> World:
    """Live through one seed, and return what came of it. Raises Broken from what was found."""
    world = World(seed)
    with edges.installed(world, world.bounds()), _told_to(world):
        try:
            world.loop.run(world.live(), world.context)
        except Exception as error:
            raise Broken(world) from error
        finally:
            world.loop.abandon()
    return world


@contextmanager
def _told_to(world: World) -> Iterator[None]:
    """Have what the product logs in the world's trace."""

    def note(_: object, __: str, event: MutableMapping[str, Any]) -> str:
        run = event.get("run", "")
        world.note(f"{OWNER.get().name}: {event['event']} {run}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note])
    try:
        yield
    finally:
        structlog.configure(**before)


def _never() -> Any:
    raise AssertionError("the world outside has no clock of its own")


async def _execute(settings: Settings) -> None:
    await Executor(settings).serve()
