"""What goes wrong while a simulation runs, by the seed: some kinds of faults, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Protocol

from domain import events
from domain.runs import ChildStarted, NodeDeferred, NodeStarted, RunClaimed, RunPaused
from tests.simulation import nats
from tests.simulation.database import Server
from tests.simulation.installation import Host, Seat
from tests.simulation.tables import Row

EXECUTOR_KILLS_MAX = 2
"""Of each executor: more deaths over one run might prove that it is to blame."""
PAUSE_SECONDS = 3.0
"""Between two faults, on the average."""
SILENCE_SECONDS_MAX = 12.0
OUTAGE_SECONDS_MAX = 4.0
FOR_GOOD_SHARE = 0.2
CLOCK_SECONDS_MAX = 3_600.0
AIMS = (RunPaused, RunPaused, RunPaused, RunClaimed, NodeStarted, NodeDeferred, ChildStarted)
"""Events behind which it is worth while to die."""
AIM_SECONDS_MAX = 10.0
BEHIND_SECONDS = 0.02


class World(Protocol):
    """What can be harmed."""

    chance: random.Random
    server: Server
    nats: nats.Server
    hosts: list[Host]
    seats: list[Seat]

    def note(self, what: str) -> None: ...


class Faults:
    """Does harm until it is told to stop, and then only waits until all is well again."""

    def __init__(self, world: World) -> None:
        self._chance = world.chance
        self._server = world.server
        self._nats = world.nats
        self._hosts = world.hosts
        self._seats = world.seats
        self._note = world.note
        self._under_way: set[asyncio.Task[None]] = set()
        kinds: Sequence[Callable[[], Coroutine[None, None, None]]] = (
            self._kill,
            self._kill_behind,
            self._stop,
            self._dismiss,
            self._silence_server,
            self._silence_session,
            self._restart_server,
            self._break_off_session,
            self._lose_nats,
            self._cut_executors_off,
            self._turn_clock,
            self._lose_snapshots,
        )
        count = world.chance.randint(1, len(kinds))
        # A few kinds at a time find what all of them together would hide.
        self._kinds = world.chance.sample(kinds, count)

    async def live(self, seconds: float) -> None:
        """Do harm for so long, and return when its last consequences are under way."""
        if self._chance.random() < 0.5:
            self._nats.lost_share = self._nats.doubled_share = 0.05
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self._chance.expovariate(1 / PAUSE_SECONDS))
            harm = self._chance.choice(self._kinds)
            task = loop.create_task(harm())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await asyncio.gather(*self._under_way)
        self._nats.lost_share = self._nats.doubled_share = 0.0

    def _seat(self) -> Seat:
        return self._chance.choice(self._seats)

    async def _kill(self) -> None:
        self._kill_some(self._seat())

    def _kill_some(self, seat: Seat) -> None:
        if not (seat.name.startswith("executor") and seat.kills >= EXECUTOR_KILLS_MAX):
            self._note(f"kill {seat.name}")
            seat.kill()

    async def _kill_behind(self) -> None:
        """Kill the executor that has a run in hand, close after an event of that run."""
        kind = self._chance.choice(AIMS)
        aimed = asyncio.Event()

        def look(rows: Sequence[Row]) -> None:
            hit = next((row for row in rows if row.topic == events.topic_of(kind)), None)
            seat = self._holder_of(hit.stream) if hit is not None else None
            if seat is not None and not aimed.is_set():
                aimed.set()
                self._note(f"kill {seat.name} after {kind.__name__}")
                seconds = self._chance.expovariate(1 / BEHIND_SECONDS)
                asyncio.get_running_loop().call_later(seconds, self._kill_some, seat)

        self._server.appended.append(look)
        with suppress(TimeoutError):
            async with asyncio.timeout(AIM_SECONDS_MAX):
                await aimed.wait()
        self._server.appended.remove(look)

    def _holder_of(self, stream: str) -> Seat | None:
        claims = [
            events.decode(row.topic, row.state)
            for row in self._server.tables.repository[stream]
            if row.topic == events.topic_of(RunClaimed)
        ]
        if not claims:
            return None
        claim = claims[-1]
        assert isinstance(claim, RunClaimed)
        name, _, _ = claim.worker.partition("/")
        return next(seat for seat in self._seats if seat.name == name)

    async def _stop(self) -> None:
        seat, seconds = self._seat(), self._some(SILENCE_SECONDS_MAX)
        process = seat.process
        if process is None:
            return
        self._note(f"stop {seat.name} for {seconds:.3f}")
        process.stop()
        await asyncio.sleep(seconds)
        process.go_on()

    async def _dismiss(self) -> None:
        seat = self._seat()
        self._note(f"dismiss {seat.name}")
        seat.ask_to_leave()

    async def _silence_server(self) -> None:
        seconds = self._some(SILENCE_SECONDS_MAX)
        self._note(f"silence the database for {seconds:.3f}")
        self._server.silence(seconds)
        await asyncio.sleep(seconds)

    async def _silence_session(self) -> None:
        seat, seconds = self._seat(), self._some(SILENCE_SECONDS_MAX)
        lines = self._server.lines_of(seat.process) if seat.process is not None else []
        if not lines:
            return
        self._note(f"silence a session of {seat.name} for {seconds:.3f}")
        self._chance.choice(lines).silent_until = asyncio.get_running_loop().time() + seconds
        await asyncio.sleep(seconds)

    async def _break_off_session(self) -> None:
        seat = self._seat()
        lines = self._server.lines_of(seat.process) if seat.process is not None else []
        if lines:
            self._note(f"break off a session of {seat.name}")
            self._chance.choice(lines).break_off()

    async def _restart_server(self) -> None:
        seconds = self._some(OUTAGE_SECONDS_MAX)
        self._note(f"restart the database within {seconds:.3f}")
        self._server.go_down()
        await asyncio.sleep(seconds)
        self._server.come_up()

    async def _lose_nats(self) -> None:
        seconds = self._some(SILENCE_SECONDS_MAX)
        self._note(f"lose NATS for {seconds:.3f}")
        self._nats.go_down()
        await asyncio.sleep(seconds)
        self._nats.come_up()

    async def _cut_executors_off(self) -> None:
        """Nobody who drives runs hears NATS, while others do: for a while, or for good."""
        seconds = self._some(SILENCE_SECONDS_MAX)
        for_good = self._chance.random() < FOR_GOOD_SHARE
        self._note(
            f"cut the executors off from NATS {'for good' if for_good else f'for {seconds:.3f}'}"
        )
        executors = [seat.name for seat in self._seats if seat.name.startswith("executor")]
        for name in executors:
            self._nats.cut_off(name)
        await asyncio.sleep(seconds)
        for name in () if for_good else executors:
            self._nats.let_hear(name)

    async def _turn_clock(self) -> None:
        host = self._chance.choice(self._hosts)
        seconds = self._chance.choice((-1, 1)) * self._some(CLOCK_SECONDS_MAX)
        self._note(f"turn a clock by {seconds:.3f}")
        host.offset += seconds

    async def _lose_snapshots(self) -> None:
        self._note("lose all snapshots")
        self._server.tables.snapshots.clear()

    def _some(self, most: float) -> float:
        """Small ones as often as large ones."""
        return float(most * self._chance.random() ** 3 + 0.05)
