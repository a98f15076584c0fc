"""What a run may use up of the budget that it shares with its sub-graphs, or with its parent."""

from __future__ import annotations

from domain import budgets
from domain.budgets import NOTHING, POOL, Allotment, BudgetTaken
from domain.runs import BudgetExtended
from runtime.eventlog.log import StreamWrite
from workers.executor.dependencies import Dependencies
from workers.executor.run_writer import Others, RunWriter, patiently

ONE_RUN = Allotment(runs=1)
LEAST = Allotment(steps=1, runs=1)
"""Without this there is no sub-graph."""


class UsedUp(Exception):
    """There is nothing left of a part of the budget; the message is the run's error."""


class Outdone(Exception):
    """Others have taken from the pool since it was looked at."""


class BudgetPool:
    """The pool of the tree that one run belongs to, if it belongs to one."""

    def __init__(self, writer: RunWriter, dependencies: Dependencies) -> None:
        assert writer.run.created is not None
        self._writer = writer
        self._run = writer.run
        self._tree = writer.run.created.tree
        self._repository = dependencies.repository

    async def require(self, needed: Allotment) -> None:
        """Have this beside what all that has begun needs. Raises UsedUp, and as RunWriter.flush."""
        await self._cover(needed)
        self._refuse(needed)

    async def set_aside(self, wanted: Allotment) -> Allotment:
        """The allotment of one more sub-graph: what it wants, or as much of it as there is.

        Nobody waits until others give back what they have and do not use: it is little, and they
        may keep it for days. Raises as `require`.
        """
        if self._tree is None:
            return NOTHING
        await self._cover(wanted + ONE_RUN)
        self._refuse(LEAST)
        return wanted.within(self._run.spare - ONE_RUN)

    def _refuse(self, needed: Allotment) -> None:
        error = self._run.lacks(needed)
        if error is not None:
            raise UsedUp(error)

    async def _cover(self, needed: Allotment) -> None:
        """Take from the pool what the run lacks, or as much of it as is left."""
        if self._tree is None:
            return
        root = self._tree.root or self._run.run_id
        while True:
            lacking = (needed - self._run.spare).lacking
            if lacking == NOTHING:
                return
            taken = await patiently(lambda: self._repository.load(POOL, root))
            assert self._run.granted is not None
            more = budgets.more(self._tree.pool - taken.state, lacking, self._run.granted)
            if more == NOTHING:
                return
            try:
                await self._writer.flush_with(BudgetExtended(more), self._taking(root, more))
            except Outdone:
                continue
            return

    def _taking(self, root: str, more: Allotment) -> Others:
        async def writes() -> list[StreamWrite]:
            taken = await self._repository.load(POOL, root)
            assert self._tree is not None
            if more.within(self._tree.pool - taken.state) != more:
                raise Outdone
            return taken.write([BudgetTaken(run=self._run.run_id, allotment=more)])

        return writes
