"""Graph versions, read and compiled for the engine."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from domain import graphs, limits, memory_limits
from domain.engine.plan import Plan
from domain.errors import NotFound
from domain.graphs import GRAPH, Graph, GraphVersion
from domain.json_values import weight
from runtime.aggregates.repository import Repository
from runtime.cache import BoundedCache
from runtime.room import Room

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
            limits.STATE_CACHE_STREAMS_MAX, memory_limits.PLANS_KEPT_BYTES_MAX
        )
        self._in_hand: WeakValueDictionary[_Key, Plan] = WeakValueDictionary()
        self._reading: dict[_Key, asyncio.Task[Plan]] = {}
        self._room = Room(memory_limits.PLANS_HEAVY_BYTES_MAX)

    async def of(self, graph: Graph, version: GraphVersion) -> Plan:
        """The plan of a version. Raises Unavailable while too many heavy ones are in hand."""
        key = (graph.graph_id, version.version)
        plan = self._found(key)
        if plan is not None:
            return plan
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(graph, version))
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

    async def _read(self, graph: Graph, version: GraphVersion) -> Plan:
        stream = GRAPH.stream_of(graph.graph_id)
        encoded = await self._repository.log.read_encoded(stream, version.place)
        weighs = weight(encoded.state)
        if weighs <= memory_limits.PLAN_LIGHT_BYTES:
            plan = _compiled(graphs.saved(encoded.topic, encoded.state), weighs)
            self._kept.put((graph.graph_id, version.version), plan, weighs)
        else:
            await self._room.enter(graph.user_id, weighs)
            try:
                plan = _compiled(graphs.saved(encoded.topic, encoded.state), weighs)
            except BaseException:
                self._room.leave(weighs)
                raise
            # Whoever drops a run may still hold its nodes, and with them what is heavy.
            self._room.leave_after([plan, *plan.nodes], weighs)
        self._in_hand[graph.graph_id, version.version] = plan
        return plan


def _compiled(saved: graphs.VersionSaved, weighs: int) -> Plan:
    plan = Plan(saved.graph, saved.contracts)
    plan.weight = weighs
    return plan
