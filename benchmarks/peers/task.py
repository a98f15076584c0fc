"""What a peer is asked and what it answers: the same graphs, counted in the same way."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import msgspec
import uvloop

from benchmarks.load import processes
from benchmarks.load.closed_loop import Pace, keep_in_flight
from benchmarks.load.processes import Usage

ITSELF, SERVER = "itself", "postgres"


class Chain(msgspec.Struct, frozen=True, tag=True):
    """Nodes one after the other. Each hands on what it was given and one more, from 0."""

    length: int

    @property
    def steps(self) -> int:
        return self.length

    @property
    def result(self) -> int:
        return self.length


class Fan(msgspec.Struct, frozen=True, tag=True):
    """One node, `width` nodes behind it at the same time, and one that adds up what they made."""

    width: int

    @property
    def steps(self) -> int:
        return self.width + 2

    @property
    def result(self) -> int:
        return 2 * self.width


Shape: TypeAlias = Chain | Fan


class Task(msgspec.Struct, frozen=True):
    shape: Shape
    clients: int
    seconds: float
    database_url: str
    """Of an empty database, or of one that the same peer has used. Who wants none leaves it."""
    server_pid: int


RunOnce: TypeAlias = Callable[[int], Awaitable[int]]
"""Runs the shape once on the client of a number; what its last node made, when that is durable."""
Peer: TypeAlias = Callable[[Task], AbstractAsyncContextManager[RunOnce]]


def serve(peer: Peer) -> None:
    """Do the task that the command line holds, in this process, and print its Pace as JSON."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    pace = uvloop.run(_measure(peer, task))
    sys.stdout.write(f"\n{msgspec.json.encode(pace).decode()}\n")


async def _measure(peer: Peer, task: Task) -> Pace:
    async with peer(task) as run_once:

        async def run(client: int) -> None:
            assert await run_once(client) == task.shape.result

        def meter() -> dict[str, Usage]:
            return processes.families({ITSELF: os.getpid(), SERVER: task.server_pid})

        return await keep_in_flight(run, meter, clients=task.clients, seconds=task.seconds)
