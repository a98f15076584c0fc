"""Graph versions, read and compiled for the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from domain.engine.plan import Plan
from domain.errors import NotFound
from domain.graphs import graph
from domain.graphs.graph import GRAPH, Graph, GraphVersion
from domain.json_values import weight
from domain.limits import log_limits, memory_limits
from runtime.aggregates.repository import Repository
from runtime.cache import BoundedCache
from runtime.eventlog.mapper import Encoded
from runtime.memory_pool import MemoryPool

_Key = tuple[str, int]
"""A graph and a version of it."""


class PlanCache:
    """Graph versions, compiled. A version never changes, so a plan is never out of date.

    What somebody has in hand is there once, for all. Light ones are also kept for whoever comes
    next; heavy ones are not, and few fit in at once, so that users take turns at having them.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._kept: BoundedCache[_Key, Plan] = BoundedCache(
            log_limits.STATE_CACHE_STREAMS_MAX, memory_limits.PLANS_KEPT_BYTES_MAX
        )
        self._in_hand: WeakValueDictionary[_Key, Plan] = WeakValueDictionary()
        self._reading: dict[_Key, asyncio.Task[Plan]] = {}
        self._heavy: BoundedCache[_Key, int] = BoundedCache(log_limits.STATE_CACHE_STREAMS_MAX)
        """What heavy ones weigh, so that who waits for room has nothing of them in memory."""
        self._room = MemoryPool(
            memory_limits.PLANS_HEAVY_BYTES_MAX, memory_limits.PLANS_HEAVY_BYTES_PER_USER
        )

    @property
    def is_pressed(self) -> bool:
        """Somebody waits for room: nobody may keep a heavy one for later."""
        return self._room.is_pressed

    def when_pressed(self, give_back: Callable[[], None]) -> None:
        """Have this called when somebody waits for room: it lets go of heavy ones."""
        self._room.pressed.append(give_back)

    async def of(self, graph: Graph, version: GraphVersion, beside: Plan | None = None) -> Plan:
        """The plan of a version. `beside`: the one that the caller has in hand and keeps.

        Raises NoRoom while too many heavy ones are in hand; who has one should give it back then.
        """
        key = (graph.graph_id, version.version)
        plan = self._found(key)
        if plan is not None:
            return plan
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(graph, version, beside))
            self._reading[key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key))
        # Whoever began it may give up while others wait for it.
        return await asyncio.shield(reading)

    async def load(self, graph_id: str, number: int) -> Plan:
        """The plan of a version that is known to exist. Raises NotFound, and as `of`."""
        plan = self._found((graph_id, number))
        if plan is not None:
            return plan
        loaded = await self._repository.load(GRAPH, graph_id)
        if loaded.state is None:
            raise NotFound(f"Graph {graph_id} not found")
        return await self.of(loaded.state, loaded.state.version(number))

    def _found(self, key: _Key) -> Plan | None:
        return self._kept.get(key) or self._in_hand.get(key)

    async def _read(self, graph: Graph, version: GraphVersion, beside: Plan | None) -> Plan:
        key = (graph.graph_id, version.version)
        weighs = self._heavy.get(key)
        if weighs is None:
            encoded = await self._encoded(graph, version)
            weighs = weight(encoded.state)
            if weighs <= memory_limits.PLAN_LIGHT_BYTES:
                plan = _compiled(encoded, weighs)
                self._kept.put(key, plan, weighs)
                self._in_hand[key] = plan
                return plan
            self._heavy.put(key, weighs)
            del encoded
        plan = await self._compiled_in_room(graph, version, weighs, beside)
        self._in_hand[key] = plan
        return plan

    async def _compiled_in_room(
        self, graph: Graph, version: GraphVersion, weighs: int, beside: Plan | None
    ) -> Plan:
        had = beside.weight if beside is not None and beside.is_heavy else 0
        await self._room.enter(graph.user_id, weighs, had)
        try:
            plan = _compiled(await self._encoded(graph, version), weighs)
        except BaseException:
            self._room.leave(graph.user_id, weighs)
            raise
        # Whoever drops a run may still hold its nodes, and with them what is heavy.
        self._room.leave_after([plan, *plan.nodes], graph.user_id, weighs)
        return plan

    async def _encoded(self, graph: Graph, version: GraphVersion) -> Encoded:
        stream = GRAPH.stream_of(graph.graph_id)
        return await self._repository.log.read_encoded(stream, version.place)


def _compiled(encoded: Encoded, weighs: int) -> Plan:
    saved = graph.saved(encoded.topic, encoded.state)
    plan = Plan(saved.graph, saved.contracts)
    plan.weight = weighs
    return plan
