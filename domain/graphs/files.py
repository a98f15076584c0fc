"""Graphs as clients send them: the API's `Graph`, an exported agent file, the older port lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from domain.engine.pins import steps_of
from domain.errors import Invalid
from domain.json_values import check_json, check_text
from domain.limits import graph_limits, value_limits


class Node(msgspec.Struct, frozen=True):
    id: str
    block_id: str
    input_default: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class Link(msgspec.Struct, frozen=True):
    """From the output pin `source_name` to the input pin `sink_name`; both may carry a path."""

    id: str
    source_id: str
    sink_id: str
    source_name: str
    sink_name: str
    is_static: bool = False


class GraphDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A graph that was read and is well-formed; `graph_checks` says whether it makes sense."""

    id: str | None = None
    version: int | None = None
    name: str
    description: str = ""
    instructions: str | None = None
    recommended_schedule_cron: str | None = None
    forked_from_id: str | None = None
    forked_from_version: int | None = None
    is_active: bool = True
    allow_cycles: bool = False
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()


def read_draft(document: object) -> GraphDraft:
    """The graph in a decoded JSON document.

    Unknown keys are ignored, a null counts as absent where there is a default. A node without id
    gets one of its place, a link without id an empty one: `assign_ids` replaces them. Links are
    taken from the top-level `links`; when there are none, from the copies that nodes carry in
    `input_links` and `output_links`, and from `input_nodes` and `output_nodes`, each link once.
    Raises Invalid with the place of the first problem, such as `nodes[3].block_id must be text`.
    """
    graph = _Fields(document, "")
    entries = graph.entries("nodes", graph_limits.GRAPH_NODES_MAX)
    objects = [_Fields(entry, f"nodes[{index}]") for index, entry in enumerate(entries)]
    _refuse_too_many_pins(objects)
    nodes = tuple(_read_node(node, f"node {index}") for index, node in enumerate(objects))
    links = _read_links(graph) or _gathered_links(objects, nodes)
    _refuse_long_ways(nodes, links)
    return GraphDraft(
        id=graph.optional_text("id", value_limits.ID_CHARS_MAX),
        version=graph.version("version"),
        name=graph.text("name", value_limits.NAME_CHARS_MAX),
        description=graph.optional_text("description", value_limits.TEXT_CHARS_MAX) or "",
        instructions=graph.optional_text("instructions", value_limits.TEXT_CHARS_MAX),
        recommended_schedule_cron=graph.optional_text(
            "recommended_schedule_cron", value_limits.NAME_CHARS_MAX
        ),
        forked_from_id=graph.optional_text("forked_from_id", value_limits.ID_CHARS_MAX),
        forked_from_version=graph.version("forked_from_version"),
        is_active=graph.flag("is_active", default=True),
        allow_cycles=graph.flag("allow_cycles", default=False),
        nodes=nodes,
        links=links,
    )


def assign_ids(draft: GraphDraft, new_id: Callable[[], str], *, graph_id: str | None) -> GraphDraft:
    """`draft` under `graph_id` (None: a new one), with new ids for its nodes and links.

    A link to a node that does not exist keeps the unknown id, for `check_structure` to name.
    Raises Invalid when two nodes share an id.
    """
    own_id = new_id() if graph_id is None else graph_id
    renamed: dict[str, str] = {}
    for index, node in enumerate(draft.nodes):
        if node.id in renamed:
            raise Invalid(f"nodes[{index}].id is the id of another node: {node.id}")
        renamed[node.id] = new_id()
    return msgspec.structs.replace(
        draft,
        id=own_id,
        nodes=tuple(msgspec.structs.replace(node, id=renamed[node.id]) for node in draft.nodes),
        links=tuple(
            msgspec.structs.replace(
                link,
                id=new_id(),
                source_id=renamed.get(link.source_id, link.source_id),
                sink_id=renamed.get(link.sink_id, link.sink_id),
            )
            for link in draft.links
        ),
    )


class _Fields:
    """One object of the document, and its place in it."""

    __slots__ = ("_place", "_values")

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise Invalid(f"{place or 'the graph'} must be an object")
        self._values = value
        self._place = place

    def place(self, key: str) -> str:
        return f"{self._place}.{key}" if self._place else key

    def text(self, key: str, longest: int, *, shortest: int = 0) -> str:
        value = self._values.get(key)
        if not isinstance(value, str):
            raise Invalid(f"{self.place(key)} must be text")
        if len(value) < shortest:
            raise Invalid(f"{self.place(key)} must not be empty")
        if len(value) > longest:
            raise Invalid(f"{self.place(key)} must have at most {longest} characters")
        check_text(value, self.place(key))
        return value

    def optional_text(self, key: str, longest: int) -> str | None:
        return None if self._values.get(key) is None else self.text(key, longest)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise Invalid(f"{self.place(key)} must be true or false")
        return value

    def version(self, key: str) -> int | None:
        value = self._values.get(key)
        if value is None:
            return None
        if type(value) is not int or not 1 <= value <= graph_limits.GRAPH_VERSION_MAX:
            raise Invalid(
                f"{self.place(key)} must be a whole number from 1 to"
                f" {graph_limits.GRAPH_VERSION_MAX}"
            )
        return value

    def entries(self, key: str, most: int) -> list[Any]:
        value = self._values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise Invalid(f"{self.place(key)} must be a list")
        if len(value) > most:
            raise Invalid(f"{self.place(key)} has {len(value)} entries; at most {most} are allowed")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self._values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Invalid(f"{self.place(key)} must be an object")
        return value


def _refuse_too_many_pins(nodes: Iterable[_Fields]) -> None:
    """Each pin's name is parsed; nobody shall have an API busy with that for long."""
    count = 0
    for node in nodes:
        count += len(node.mapping("input_default"))
        if count > graph_limits.GRAPH_PINS_MAX:
            raise Invalid(
                f"{node.place('input_default')} is one too many: the nodes of a graph may have"
                f" at most {graph_limits.GRAPH_PINS_MAX} pins with a value"
            )


def _refuse_long_ways(nodes: Iterable[Node], links: Iterable[Link]) -> None:
    """Each step is taken when the graph is checked, and for each execution that a link leads to."""
    pins = [pin for node in nodes for pin in node.input_default]
    for node in nodes:
        inputs = node.input_default.get("inputs")
        pins += inputs if isinstance(inputs, dict) else ()
    ends = (pin for link in links for pin in (link.source_name, link.sink_name))
    if sum(map(steps_of, chain(pins, ends))) > graph_limits.GRAPH_PATH_STEPS_MAX:
        raise Invalid(
            "the names of pins, and of what links join, may lead over at most "
            f"{graph_limits.GRAPH_PATH_STEPS_MAX} steps in all"
        )


def _read_node(node: _Fields, own_id: str) -> Node:
    given_id = node.optional_text("id", value_limits.ID_CHARS_MAX)
    defaults = node.mapping("input_default")
    metadata = node.mapping("metadata")
    check_json(defaults, node.place("input_default"))
    check_json(metadata, node.place("metadata"))
    if any(len(name) > value_limits.NAME_CHARS_MAX for name in defaults):
        raise Invalid(
            f"{node.place('input_default')} has a pin name of more than "
            f"{value_limits.NAME_CHARS_MAX} characters"
        )
    return Node(
        id=given_id or own_id,
        block_id=node.text("block_id", value_limits.ID_CHARS_MAX, shortest=1),
        input_default=defaults,
        metadata=metadata,
    )


def _read_links(owner: _Fields, key: str = "links") -> tuple[Link, ...]:
    entries = owner.entries(key, graph_limits.GRAPH_LINKS_MAX)
    fields = (_Fields(entry, owner.place(f"{key}[{index}]")) for index, entry in enumerate(entries))
    return tuple(
        Link(
            id=link.optional_text("id", value_limits.ID_CHARS_MAX) or "",
            source_id=link.text("source_id", value_limits.ID_CHARS_MAX, shortest=1),
            sink_id=link.text("sink_id", value_limits.ID_CHARS_MAX, shortest=1),
            source_name=link.text("source_name", value_limits.NAME_CHARS_MAX, shortest=1),
            sink_name=link.text("sink_name", value_limits.NAME_CHARS_MAX, shortest=1),
            is_static=link.flag("is_static", default=False),
        )
        for link in fields
    )


def _gathered_links(objects: list[_Fields], nodes: tuple[Node, ...]) -> tuple[Link, ...]:
    gathered: dict[tuple[str, str, str, str], Link] = {}
    for fields, node in zip(objects, nodes, strict=True):
        for link in chain(
            _read_links(fields, "input_links"),
            _read_links(fields, "output_links"),
            _links_into(fields, node.id),
            _links_out_of(fields, node.id),
        ):
            ends = (link.source_id, link.source_name, link.sink_id, link.sink_name)
            gathered.setdefault(ends, link)
    if len(gathered) > graph_limits.GRAPH_LINKS_MAX:
        raise Invalid(
            f"links has {len(gathered)} entries; at most {graph_limits.GRAPH_LINKS_MAX} are allowed"
        )
    return tuple(gathered.values())


def _links_into(node: _Fields, node_id: str) -> Iterator[Link]:
    for pin, other_id, other_pin in _connections(node, "input_nodes"):
        yield Link("", other_id, node_id, other_pin, pin)


def _links_out_of(node: _Fields, node_id: str) -> Iterator[Link]:
    for pin, other_id, other_pin in _connections(node, "output_nodes"):
        yield Link("", node_id, other_id, pin, other_pin)


def _connections(node: _Fields, key: str) -> Iterator[tuple[str, str, str]]:
    """Each connection of `{pin: [{node_id, name}]}`: the pin, the other node and its pin."""
    ports = _Fields(node.mapping(key), node.place(key))
    for pin in node.mapping(key):
        check_text(pin, node.place(key))
        if not 1 <= len(pin) <= value_limits.NAME_CHARS_MAX:
            raise Invalid(
                f"{node.place(key)} must have names of 1 to {value_limits.NAME_CHARS_MAX}"
                " characters"
            )
        for index, entry in enumerate(ports.entries(pin, graph_limits.GRAPH_LINKS_MAX)):
            other = _Fields(entry, ports.place(f"{pin}[{index}]"))
            yield (
                pin,
                other.text("node_id", value_limits.ID_CHARS_MAX, shortest=1),
                other.text("name", value_limits.NAME_CHARS_MAX, shortest=1),
            )
