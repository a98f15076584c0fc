"""A run in the hands of a test: the graph is written as links, and nodes do as they are told.

A link is `source.pin > sink.pin`, or `source.pin => sink.pin` when it is static. A node that no
`Node` describes belongs to a block with the pins a, b, c and out, all of any type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.contracts import BlockContract, BlockKind
from domain.engine.evolve import evolve
from domain.engine.execution import Execution
from domain.engine.plan import Plan
from domain.engine.run import Run
from domain.graphs.files import GraphDraft, Link, Node
from domain.runs import NodeCompleted, NodeFailed, Output, RunCreated, RunStatus

TEXT = {"type": "string"}
EVERYTHING = range(1_000_000)

CONTRACTS = {
    contract.block_id: contract
    for contract in (
        BlockContract("step", "StepBlock", {"a": {}, "b": {}, "c": {}}, {"out": {}, "more": {}}),
        BlockContract(
            "strict",
            "StrictBlock",
            {"a": {"type": "integer", "minimum": 1}, "b": TEXT},
            {"out": {}},
            required=("a",),
            cost=3,
        ),
        BlockContract(
            "input",
            "InputBlock",
            {"name": TEXT, "value": {}},
            {"result": {}},
            required=("name",),
            kind=BlockKind.INPUT,
            static_output=True,
        ),
        BlockContract(
            "output",
            "OutputBlock",
            {"name": TEXT, "value": {}, "format": TEXT},
            {"output": {}},
            required=("name",),
            kind=BlockKind.OUTPUT,
            static_output=True,
        ),
        BlockContract("note", "NoteBlock", {"text": TEXT}, {}, kind=BlockKind.NOTE),
    )
}


def plan(*links: str, nodes: Iterable[Node] = ()) -> Plan:
    """The described nodes first, then those that only links name, as they come."""
    read = [_link(text) for text in links]
    described = {node.id: node for node in nodes}
    for link in read:
        for node_id in (link.source_id, link.sink_id):
            described.setdefault(node_id, Node(node_id, "step"))
    draft = GraphDraft(name="Example", nodes=tuple(described.values()), links=tuple(read))
    return Plan(draft, CONTRACTS)


def created(inputs: Mapping[str, Any] | None = None, steps_max: int = 1_000) -> RunCreated:
    return RunCreated(
        user_id="user", graph_id="graph", graph_version=1, inputs=dict(inputs or {}),
        steps_max=steps_max,
    )  # fmt: skip


def watched(compiled: Plan) -> Run:
    """A run of which everything is kept."""
    return Run("run", compiled, kept=EVERYTHING, gathers_outputs=True)


class Given:
    """A run that was created, and what its nodes did since."""

    def __init__(
        self,
        *links: str,
        nodes: Iterable[Node] = (),
        inputs: Mapping[str, Any] | None = None,
        steps_max: int = 1_000,
    ) -> None:
        self.run = watched(plan(*links, nodes=nodes))
        evolve(self.run, created(inputs, steps_max))

    def yields(self, node: str, *values: Any) -> None:
        """The node's oldest execution at hand yields the values on `out`, and completes."""
        self.completes(self.at_hand(node)[0], *(("out", value) for value in values))

    def completes(self, execution: Execution, *outputs: Output) -> None:
        number, node = execution.number, execution.node.node.node_id
        evolve(self.run, NodeCompleted(number, node, list(outputs), elapsed_us=10))

    def fails(self, node: str, error: str, *outputs: Output) -> None:
        number = self.at_hand(node)[0].number
        evolve(self.run, NodeFailed(number, node, error, elapsed_us=10, outputs=list(outputs)))

    def executions(self, node: str) -> list[Execution]:
        return [e for e in self.run.executions.values() if e.node.node.node_id == node]

    def at_hand(self, node: str) -> list[Execution]:
        """Queued or running, oldest first."""
        found = [e for e in self.executions(node) if e.status in {"QUEUED", "RUNNING"}]
        return sorted(found, key=lambda execution: execution.queue_number)

    @property
    def ready(self) -> list[str]:
        """The nodes of the executions that are ready, in the order in which they became so."""
        found = [e for e in self.run.executions.values() if e.status is RunStatus.QUEUED]
        ordered = sorted(found, key=lambda execution: execution.queue_number)
        return [execution.node.node.node_id for execution in ordered]

    def queued(self, node: str) -> list[dict[str, Any]]:
        """The inputs of the node's executions that became ready, in that order."""
        ready = [e for e in self.executions(node) if e.status is not RunStatus.INCOMPLETE]
        return [e.data for e in sorted(ready, key=lambda execution: execution.queue_number)]

    def waiting(self, node: str) -> list[dict[str, Any]]:
        """What the node's incomplete executions were given so far, oldest first."""
        return [e.given for e in self.executions(node) if e.status is RunStatus.INCOMPLETE]


def _link(text: str) -> Link:
    is_static = " => " in text
    source, sink = text.split(" => " if is_static else " > ")
    (source_id, source_name), (sink_id, sink_name) = source.split("."), sink.split(".")
    return Link("", source_id, sink_id, source_name, sink_name, is_static)
