"""The graphs that a graph runs as parts of itself, checked before it starts (4.3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from domain.contracts import BlockContract
from domain.engine.pins import base_pin
from domain.engine.plan import Plan, PlanNode
from domain.errors import GraphInvalid, NotFound
from domain.graphs.graph import GRAPH
from domain.limits import run_limits
from domain.run_starts import require_startable
from runtime.aggregates.plan_cache import PlanCache
from runtime.aggregates.repository import Repository

_Use = tuple[str, int, bytes, frozenset[str]]
"""A graph version, the inputs that it is given, and the names of those that links bring."""


class SubGraphs:
    """Looks at every sub-graph once for each way in which it is used."""

    def __init__(
        self,
        repository: Repository,
        plans: PlanCache,
        user_id: str,
        contracts: Mapping[str, BlockContract],
    ) -> None:
        self._repository = repository
        self._plans = plans
        self._user_id = user_id
        self._contracts = contracts
        self._found: dict[_Use, str | None] = {}

    async def errors(self, plan: Plan, depth: int = 1) -> dict[str, dict[str, str]]:
        """Why the sub-graphs of a plan cannot run: `{node id: {field: message}}`.

        Values that links bring are not known and count as right.
        """
        errors: dict[str, dict[str, str]] = {}
        for node in plan.nodes:
            if node.is_agent and (message := await self._problem(node, depth)) is not None:
                errors[node.node_id] = {"graph_id": message}
        return errors

    async def _problem(self, node: PlanNode, depth: int) -> str | None:
        if depth > run_limits.CHILD_DEPTH_MAX:
            return f"sub-graphs are nested more than {run_limits.CHILD_DEPTH_MAX} deep"
        graph_id, version = node.sub_graph
        linked = frozenset(base_pin(pin) for pin in node.linked_pins)
        given = node.prepare({})[0]
        use = (graph_id, version, msgspec.json.encode(given, order="sorted"), linked)
        if use not in self._found:
            if len(self._found) >= run_limits.SUB_GRAPHS_CHECKED_MAX:
                return f"there are more than {run_limits.SUB_GRAPHS_CHECKED_MAX} sub-graphs"
            # A graph inside itself is being looked at already, and its run may come to an end.
            self._found[use] = None
            self._found[use] = await self._look_at(graph_id, version, given, linked, depth)
        return self._found[use]

    async def _look_at(
        self,
        graph_id: str,
        version: int,
        given: Mapping[str, Any],
        linked: Collection[str],
        depth: int,
    ) -> str | None:
        try:
            graph = (await self._repository.load_owned(GRAPH, graph_id, self._user_id)).state
            plan = await self._plans.of(graph, graph.version(version))
            require_startable(plan, given, self._contracts, unknown=linked)
        except GraphInvalid as error:
            return f"the sub-graph cannot run: {_first(error.node_errors) or error.message}"
        except NotFound as error:
            return error.message
        below = await self.errors(plan, depth + 1)
        return f"the sub-graph cannot run: {_first(below)}" if below else None


def _first(errors: Mapping[str, Mapping[str, str]]) -> str:
    """The first of `{node id: {field: message}}` in words, nothing when there is none."""
    return next(
        (f"node {node}: {name}: {text}" for node, e in errors.items() for name, text in e.items()),
        "",
    )
