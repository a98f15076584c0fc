"""The lives of runs, read for commands that decide about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import msgspec

from domain import run_life, runs
from domain.errors import NotFound
from domain.run_life import Life
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Decision, Done, Repository

A = TypeVar("A", bound=msgspec.Struct)


class LifeReader:
    """Reads the life of one run, again and again: each time only what has happened since.

    A run in hand moves all the time. Who had to read all of it to decide once more would always
    come too late.
    """

    def __init__(self, repository: Repository, run_id: str) -> None:
        self.run_id = run_id
        self.stream = runs.stream_of(run_id)
        self._log = repository.log
        self._life: Life | None = None

    async def read(self, owner: str | None = None) -> Life | None:
        """The life as of now; None when there is no such run, or none of the named owner's."""
        after = 0 if self._life is None else self._life.version
        entries, version = await self._log.read_topics(self.stream, run_life.TOPICS, after, owner)
        for entry in entries:
            self._life = run_life.evolve(self._life, entry.event)
        if self._life is not None:
            self._life.version = version
        return self._life

    async def read_owned(self, user_id: str, graph_id: str | None = None) -> Life:
        """The life of a run of this user, and of this graph where one is named.

        Raises NotFound for another's as for none.
        """
        _uuid_of(self.run_id)
        life = await self.read(user_id)
        if life is None or life.user_id != user_id or graph_id not in {None, life.graph_id}:
            raise NotFound(f"Execution {self.run_id} not found")
        return life


async def execute(
    repository: Repository,
    context: CommandContext,
    run_id: str,
    decide: Callable[[], Awaitable[Decision[A]]],
    answer_type: type[A],
) -> Done[A]:
    """Run a command about a run to its end; what it appends is found under the run's id.

    Raises as Streams.execute, and NotFound for what is no id.
    """
    context = msgspec.structs.replace(context, correlation=_uuid_of(run_id))
    return await repository.execute(context, decide, answer_type)


def _uuid_of(run_id: str) -> UUID:
    """Raises NotFound for what is no id: not every text can be looked up in the database."""
    try:
        return UUID(run_id)
    except ValueError:
        raise NotFound(f"Execution {run_id} not found") from None
