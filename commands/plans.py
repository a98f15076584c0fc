"""Graph versions, compiled for the engine."""

from __future__ import annotations

from commands.streams import Streams
from domain import graphs, limits
from domain.engine.plan import Plan
from domain.errors import NotFound
from domain.graphs import GraphVersion
from runtime.cache import BoundedCache


class Plans:
    """Graph versions, compiled. A version never changes, so a plan is never out of date."""

    def __init__(self) -> None:
        self._plans: BoundedCache[tuple[str, int], Plan] = BoundedCache(
            limits.STATE_CACHE_STREAMS_MAX
        )

    def get(self, graph_id: str, version: GraphVersion) -> Plan:
        plan = self._plans.get((graph_id, version.version))
        if plan is None:
            plan = Plan(version.graph, version.contracts)
            self._plans.put((graph_id, version.version), plan)
        return plan

    async def load(self, streams: Streams, graph_id: str, version: int) -> Plan:
        """The plan of a version that is known to exist. Raises NotFound."""
        plan = self._plans.get((graph_id, version))
        if plan is not None:
            return plan
        loaded = await streams.load(graphs.stream_of(graph_id), None, graphs.evolve)
        if loaded.state is None:
            raise NotFound(f"Graph {graph_id} not found")
        return self.get(graph_id, loaded.state.version(version))
