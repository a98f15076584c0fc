"""Clients: they save graphs, start runs, pause and stop some, and repeat what was not answered."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, cast

from commands import graphs as graph_commands
from commands import reviews
from commands.runs import control, starts
from domain import events
from domain.errors import Conflict, NotFound, Unavailable
from domain.reviews import ReviewDecision
from domain.run_starts import UNBOUNDED, Budget
from domain.runs import ReviewDecided, ReviewRequested, run_of
from runtime import database
from runtime.aggregates.command_context import CommandContext, Idempotency
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository
from runtime.eventlog.log import EventLog
from runtime.settings import Settings
from tests.simulation.blocks import PROMISES
from tests.simulation.database import Server
from tests.simulation.graphs import Child, Strand, added, bundle, some_strand
from tests.simulation.installation import Seat
from tests.simulation.log import MemoryLog
from tests.simulation.loop import VirtualLoop
from tests.simulation.tables import Tables
from tests.support import credits as credit_support
from tests.support.graphs import Document

T = TypeVar("T")

USERS = ("ada", "bob")
CREDITS = 10_000
AGAIN_SECONDS = 0.2
ANSWER_SECONDS_MAX = 5.0
PAUSED_SHARE, STOPPED_SHARE = 0.3, 0.1
RESUMED_SHARE = 0.4
"""Of what is paused, what goes on before all is calm."""
BUDGET_SHARE = 0.4
"""Who says what a run may use up, and of that often too little."""
STEPS_MAX, BUDGET_CREDITS_MAX, SECONDS_MAX = 60, 12, 60.0


def some_budget(chance: random.Random) -> Budget:
    """A budget as it is drawn."""
    if chance.random() >= BUDGET_SHARE:
        return UNBOUNDED
    return Budget(
        steps=chance.choice((None, chance.randint(1, STEPS_MAX))),
        seconds=chance.choice((None, None, chance.uniform(1, SECONDS_MAX))),
        credits=chance.choice((None, chance.randint(0, BUDGET_CREDITS_MAX))),
    )


def questions(tables: Tables) -> list[tuple[str, str, int]]:
    """What waits for an answer: the run, its user, and the execution."""
    found: dict[tuple[str, int], str] = {}
    for row in tables.rows:
        if row.topic == events.topic_of(ReviewRequested):
            asked = events.decode(row.topic, row.state)
            assert isinstance(asked, ReviewRequested)
            found[run_of(row.stream), asked.execution] = row.owner
        elif row.topic == events.topic_of(ReviewDecided):
            decided = events.decode(row.topic, row.state)
            assert isinstance(decided, ReviewDecided)
            found.pop((run_of(row.stream), decided.execution), None)
    return [(run_id, user, execution) for (run_id, execution), user in found.items()]


class Gone(Exception):
    """The process that was asked has died."""


class Started(NamedTuple):
    """A run that a client was told of. `outputs` are what it must hand back, in any order."""

    run_id: str
    user: str
    outputs: list[int]
    budget: Budget


class World(Protocol):
    """Where people live."""

    loop: VirtualLoop
    chance: random.Random
    server: Server

    def new_id(self) -> bytes: ...


class Api:
    """A process that takes commands. It has no HTTP here; what it does with a command it has."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.repository: Repository | None = None

    async def serve(self, _: Settings) -> None:
        self.repository = None
        log = MemoryLog(self._server)
        await log.open()
        self.repository = Repository(cast("EventLog", log))
        self.plans = PlanCache(self.repository)
        await asyncio.Event().wait()


class People:
    """All clients. `started` are the runs that they meant, `paused` and `stopped` some of these."""

    def __init__(self, world: World, api: Api, seat: Seat) -> None:
        self._loop = world.loop
        self._chance = world.chance
        self._tables = world.server.tables
        self._new_id = world.new_id
        self._api = api
        self._seat = seat
        self._graphs: dict[str, list[tuple[str, list[Strand]]]] = {}
        self.started: list[Started] = []
        self.paused: set[str] = set()
        self.stopped: set[str] = set()
        self.resumed: set[str] = set()

    async def move_in(self) -> None:
        """Get credits, and save some graphs."""
        for user in USERS:
            context = CommandContext(owner=user, actor=user)
            await self._ask(
                partial(credit_support.grant, context=context, amount=CREDITS, reason="simulation")
            )
            children: list[Child] = []
            for _ in range(2):
                strand = some_strand(self._chance, children)
                children.append(Child(await self._save(user, [strand]), added(strand)))
            self._graphs[user] = []
            for _ in range(self._chance.randint(1, 2)):
                strands = [
                    some_strand(self._chance, children) for _ in range(self._chance.randint(1, 4))
                ]
                graph_id = await self._save(user, strands)
                self._graphs[user].append((graph_id, strands))

    async def live(self, count: int, seconds: float) -> None:
        """Start so many runs within so many seconds, and do to some of them what people do."""
        await asyncio.gather(
            *(self._start_one(self._chance.uniform(0, seconds)) for _ in range(count))
        )

    async def answer(self) -> None:
        """Say yes to whatever is asked, sooner or later."""
        while True:
            await asyncio.sleep(self._chance.uniform(0, ANSWER_SECONDS_MAX))
            for run_id, user, execution in questions(self._tables):
                yes = [ReviewDecision(execution=execution, approved=True)]
                context = CommandContext(owner=user, actor=user)
                with suppress(Conflict, NotFound):
                    await self._ask(
                        partial(reviews.decide, context=context, run_id=run_id, decisions=yes)
                    )

    async def resume_all(self) -> None:
        """Let go on what was paused."""
        for run in self.started:
            if run.run_id in self.paused - self.resumed:
                await self._control(run, control.resume)
                self.resumed.add(run.run_id)

    async def _save(self, user: str, strands: list[Strand]) -> str:
        document: Document = bundle(strands)
        done = await self._ask(
            lambda repository: graph_commands.create(
                repository,
                CommandContext(owner=user, actor=user),
                document=document,
                source=None,
                contracts=PROMISES,
            )
        )
        assert done.answer.graph.id is not None
        return done.answer.graph.id

    async def _start_one(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        user = self._chance.choice(USERS)
        graph_id, strands = self._chance.choice(self._graphs[user])
        number = self._chance.randint(0, 99)
        budget = some_budget(self._chance)
        key = Idempotency(self._new_id().hex(), b"the same request")
        context = CommandContext(owner=user, actor=user, idempotency=key)
        done = await self._ask(
            lambda repository: starts.start(
                repository,
                context,
                self._api.plans,
                graph_id=graph_id,
                graph_version=None,
                inputs={"in": number},
                contracts=PROMISES,
                budget=budget,
            )
        )
        outputs = [number + added(strand) for strand in strands]
        run = Started(done.answer.run_id, user, outputs, budget)
        self.started.append(run)
        await self._meddle(run)

    async def _meddle(self, run: Started) -> None:
        draw = self._chance.random()
        await asyncio.sleep(self._chance.uniform(0, 5))
        if draw < STOPPED_SHARE:
            self.stopped.add(run.run_id)
            await self._control(run, control.stop)
        elif draw < STOPPED_SHARE + PAUSED_SHARE:
            self.paused.add(run.run_id)
            await self._control(run, control.pause)
            if self._chance.random() < RESUMED_SHARE:
                await asyncio.sleep(self._chance.uniform(0, 10))
                await self._control(run, control.resume)
                self.resumed.add(run.run_id)

    async def _control(self, run: Started, command: Callable[..., Awaitable[object]]) -> None:
        with suppress(Conflict):
            await self._ask(
                lambda repository: command(
                    repository, CommandContext(owner=run.user, actor=run.user), run.run_id
                )
            )

    async def _ask(self, command: Callable[[Repository], Awaitable[T]]) -> T:
        """Have the API do something, however often it dies over it or says that it cannot."""
        while True:
            try:
                return await self._ask_once(command)
            except (Gone, Unavailable, *database.LOST):
                await asyncio.sleep(AGAIN_SECONDS)

    async def _ask_once(self, command: Callable[[Repository], Awaitable[T]]) -> T:
        process, repository = self._seat.process, self._api.repository
        if process is None or process.is_dead or repository is None:
            raise Gone

        async def obey() -> T:
            return await command(repository)

        answer: asyncio.Future[T] = self._loop.create_future()

        def die() -> None:
            if not answer.done():
                answer.set_exception(Gone())

        def tell(task: asyncio.Task[T]) -> None:
            if answer.done() or process.is_dead:
                return
            error = task.exception()
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)

        process.ended.append(die)
        task = self._loop.create_task(obey(), context=self._seat.context.copy())
        task.add_done_callback(tell)
        return await answer
