from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.graphs.files import GraphDraft, Link, Node, assign_ids, read_draft
from domain.limits import graph_limits, value_limits
from tests.domain.values import json_values, texts


def graph(**fields: Any) -> dict[str, Any]:
    return {"name": "Example", **fields}


def nodes(*names: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": name, "block_id": "block", **fields} for name in names]


LINK = {"source_id": "a", "sink_id": "b", "source_name": "out", "sink_name": "in"}
AS_LINK = Link("", "a", "b", "out", "in")


def test_the_least_graph() -> None:
    assert read_draft({"name": ""}) == GraphDraft(name="")


def test_the_whole_graph() -> None:
    document = graph(
        id="g",
        version=3,
        description="What it does",
        instructions="How to use it",
        recommended_schedule_cron="0 9 * * 1",
        forked_from_id="f",
        forked_from_version=2,
        is_active=False,
        allow_cycles=True,
        nodes=[
            {
                "id": "a",
                "block_id": "block",
                "input_default": {"values_#_x": [1, None]},
                "metadata": {"position": {"x": 1.5, "y": -2}},
            },
            {"id": "b", "block_id": "other"},
        ],
        links=[{"id": "l", **LINK, "is_static": True}],
    )
    assert read_draft(document) == GraphDraft(
        id="g",
        version=3,
        name="Example",
        description="What it does",
        instructions="How to use it",
        recommended_schedule_cron="0 9 * * 1",
        forked_from_id="f",
        forked_from_version=2,
        is_active=False,
        allow_cycles=True,
        nodes=(
            Node("a", "block", {"values_#_x": [1, None]}, {"position": {"x": 1.5, "y": -2}}),
            Node("b", "other"),
        ),
        links=(Link("l", "a", "b", "out", "in", is_static=True),),
    )


def test_nulls_and_unknown_keys_count_for_nothing() -> None:
    empty = dict.fromkeys(GraphDraft.__struct_fields__)
    assert read_draft({**empty, "name": "Example"}) == GraphDraft(name="Example")
    extras = {"user_id": 5, "sub_graphs": "x", "is_template": [], "created_at": None}
    node = {
        **nodes("a")[0],
        **extras,
        **dict.fromkeys(["input_default", "metadata", "input_links", "output_nodes"]),
    }
    link = {"id": None, "is_static": None, **extras, **LINK}
    draft = read_draft(graph(nodes=[node], links=[link], **extras))
    assert draft.nodes == (Node("a", "block"),)
    assert draft.links == (AS_LINK,)


def test_an_exported_agent_file_is_read_as_it_is() -> None:
    link = {"id": "5d0a", **LINK, "is_static": False}
    document = graph(
        id="0f3c",
        version=12,
        is_active=True,
        user_id="",
        created_at="2025-01-01T00:00:00Z",
        input_schema={"type": "object", "properties": {}, "required": []},
        output_schema={"type": "object", "properties": {}, "required": []},
        credentials_input_schema={},
        has_external_trigger=False,
        trigger_setup_info=None,
        sub_graphs=[{"name": "Inner", "nodes": "unread"}],
        nodes=[
            {
                **nodes("a")[0],
                "input_links": [],
                "output_links": [link],
                "graph_id": "0f3c",
                "graph_version": 12,
                "webhook_id": None,
            },
            {**nodes("b")[0], "input_links": [link], "output_links": []},
        ],
        links=[link],
    )
    draft = read_draft(json.loads(json.dumps(document)))
    assert draft.links == (Link("5d0a", "a", "b", "out", "in"),)
    assert [node.id for node in draft.nodes] == ["a", "b"]


COPY = {"id": "l", **LINK}
INTO = {"input_nodes": {"in": [{"node_id": "a", "name": "out"}]}}
OUT_OF = {"output_nodes": {"out": [{"node_id": "b", "name": "in"}]}}


@pytest.mark.parametrize(
    ("source", "sink", "expected"),
    [
        ({"output_links": [COPY]}, {}, [Link("l", "a", "b", "out", "in")]),
        ({}, {"input_links": [COPY]}, [Link("l", "a", "b", "out", "in")]),
        ({"output_links": [COPY]}, {"input_links": [COPY]}, [Link("l", "a", "b", "out", "in")]),
        (OUT_OF, {}, [AS_LINK]),
        ({}, INTO, [AS_LINK]),
        (OUT_OF, INTO, [AS_LINK]),
        ({"output_links": [COPY], **OUT_OF}, INTO, [Link("l", "a", "b", "out", "in")]),
        (
            {"output_nodes": {"out": [{"node_id": "b", "name": name} for name in "xy"]}},
            INTO,
            [Link("", "a", "b", "out", "x"), Link("", "a", "b", "out", "y"), AS_LINK],
        ),
        ({"output_nodes": {"out": []}}, {"input_nodes": {}}, []),
    ],
)
@pytest.mark.parametrize("top", [{}, {"links": []}, {"links": None}], ids=str)
def test_links_that_only_the_nodes_carry(
    source: dict[str, Any], sink: dict[str, Any], expected: list[Link], top: dict[str, Any]
) -> None:
    ends = [{**nodes("a")[0], **source}, {**nodes("b")[0], **sink}]
    assert list(read_draft(graph(nodes=ends, **top)).links) == expected


def test_the_links_of_the_graph_win_over_those_of_its_nodes() -> None:
    document = graph(
        nodes=nodes("a", **OUT_OF, output_links=[LINK]), links=[{**LINK, "sink_name": "other"}]
    )
    assert read_draft(document).links == (Link("", "a", "b", "out", "other"),)


def test_the_same_link_twice_at_the_top_stays_two_links() -> None:
    assert read_draft(graph(links=[LINK, LINK])).links == (AS_LINK, AS_LINK)


LONG = "x" * (value_limits.NAME_CHARS_MAX + 1)
LONG_ID = "x" * (value_limits.ID_CHARS_MAX + 1)
DEEP: Any = None
for _ in range(value_limits.JSON_DEPTH_MAX + 1):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "the graph must be an object"),
        ([], "the graph must be an object"),
        ({}, "name must be text"),
        (graph(name=5), "name must be text"),
        (graph(name=LONG), "name must have at most 500 characters"),
        (graph(name="a\x00"), "name must not contain the character U+0000"),
        (graph(description="\ud800"), "description must not contain half of a surrogate pair"),
        (graph(description=1), "description must be text"),
        (graph(instructions="x" * 20_001), "instructions must have at most 20000 characters"),
        (graph(is_active="yes"), "is_active must be true or false"),
        (graph(allow_cycles=1), "allow_cycles must be true or false"),
        (graph(version="1"), "version must be a whole number from 1 to 2147483647"),
        (graph(version=True), "version must be a whole number from 1 to 2147483647"),
        (graph(version=0), "version must be a whole number from 1 to 2147483647"),
        (graph(id=7), "id must be text"),
        (graph(nodes={}), "nodes must be a list"),
        (graph(nodes=[None]), "nodes[0] must be an object"),
        (graph(nodes=[{}]), "nodes[0].block_id must be text"),
        (graph(nodes=[{"block_id": ""}]), "nodes[0].block_id must not be empty"),
        (graph(nodes=[*nodes("a"), {"block_id": 5}]), "nodes[1].block_id must be text"),
        (graph(nodes=nodes(LONG_ID)), "nodes[0].id must have at most 128 characters"),
        (graph(nodes=nodes("a", input_default=[])), "nodes[0].input_default must be an object"),
        (graph(nodes=nodes("a", metadata="x")), "nodes[0].metadata must be an object"),
        (
            graph(nodes=nodes("a", input_default={"x": "\x00"})),
            "nodes[0].input_default must not contain the character U+0000",
        ),
        (
            graph(nodes=nodes("a", metadata={"x": DEEP})),
            "nodes[0].metadata is nested deeper than 64 levels",
        ),
        (
            graph(nodes=nodes("a", input_default={LONG: 1})),
            "nodes[0].input_default has a pin name of more than 500 characters",
        ),
        (graph(links="x"), "links must be a list"),
        (graph(links=[{}]), "links[0].source_id must be text"),
        (graph(links=[{**LINK, "sink_name": ""}]), "links[0].sink_name must not be empty"),
        (
            graph(links=[LINK, {**LINK, "source_name": LONG}]),
            "links[1].source_name must have at most 500 characters",
        ),
        (graph(links=[{**LINK, "is_static": 0}]), "links[0].is_static must be true or false"),
        (
            graph(nodes=nodes("a", input_links=[{}])),
            "nodes[0].input_links[0].source_id must be text",
        ),
        (graph(nodes=nodes("a", input_nodes=[])), "nodes[0].input_nodes must be an object"),
        (
            graph(nodes=nodes("a", input_nodes={"in": {}})),
            "nodes[0].input_nodes.in must be a list",
        ),
        (
            graph(nodes=nodes("a", output_nodes={"out": [{"name": "in"}]})),
            "nodes[0].output_nodes.out[0].node_id must be text",
        ),
        (
            graph(nodes=nodes("a", input_nodes={"": []})),
            "nodes[0].input_nodes must have names of 1 to 500 characters",
        ),
        (
            graph(nodes=nodes("a", input_nodes={"\ud800": []})),
            "nodes[0].input_nodes must not contain half of a surrogate pair",
        ),
    ],
)
def test_what_is_wrong_is_named(document: Any, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_draft(document)
    assert refusal.value.message == message


def test_the_pins_of_all_nodes_together_are_bounded() -> None:
    half = {f"pin {number}": 0 for number in range(graph_limits.GRAPH_PINS_MAX // 2)}
    one, other = ({**node, "input_default": half} for node in nodes("a", "b"))
    assert len(read_draft(graph(nodes=[one, other])).nodes) == 2
    other = {**other, "input_default": {**half, "one more": 0}}
    with pytest.raises(Invalid, match=r"^nodes\[1\].input_default is one too many: .* 10000 pins"):
        read_draft(graph(nodes=[one, other]))


@pytest.mark.parametrize(("pins", "inputs", "ends"), [(200, 0, 0), (0, 200, 0), (60, 40, 100)])
def test_the_steps_of_all_paths_together_are_bounded(pins: int, inputs: int, ends: int) -> None:
    path = "_#_x" * (graph_limits.GRAPH_PATH_STEPS_MAX // 200)
    defaults: dict[str, Any] = {f"p{i}{path}": 0 for i in range(pins)}
    defaults["inputs"] = {f"i{i}{path}": 0 for i in range(inputs)}
    link = {**LINK, "source_name": f"out{path}", "sink_name": f"in{path}"}
    document = graph(nodes=nodes("a", input_default=defaults), links=[link] * (ends // 2))
    assert len(read_draft(document).nodes) == 1
    defaults["p_#_one_more"] = 0
    with pytest.raises(Invalid, match="at most 20000 steps in all"):
        read_draft(document)


def test_the_size_of_a_graph_is_bounded() -> None:
    most = nodes(*map(str, range(graph_limits.GRAPH_NODES_MAX)))
    assert len(read_draft(graph(nodes=most)).nodes) == graph_limits.GRAPH_NODES_MAX
    with pytest.raises(Invalid, match="nodes has 1001 entries; at most 1000 are allowed"):
        read_draft(graph(nodes=[*most, *nodes("one more")]))
    links = [LINK] * graph_limits.GRAPH_LINKS_MAX
    assert len(read_draft(graph(links=links)).links) == graph_limits.GRAPH_LINKS_MAX
    with pytest.raises(Invalid, match="links has 5001 entries; at most 5000 are allowed"):
        read_draft(graph(links=[*links, LINK]))
    pins = {
        f"pin {number}": [{"node_id": "a", "name": "out"}]
        for number in range(graph_limits.GRAPH_LINKS_MAX + 1)
    }
    with pytest.raises(Invalid, match="links has 5001 entries; at most 5000 are allowed"):
        read_draft(graph(nodes=nodes("a", input_nodes=pins)))


def numbered_ids() -> Any:
    numbers = itertools.count(1)
    return lambda: f"new {next(numbers)}"


def test_ids_are_assigned_and_links_follow() -> None:
    draft = read_draft(graph(id="g", nodes=nodes("a", "b"), links=[{"id": "l", **LINK}, LINK]))
    assigned = assign_ids(draft, numbered_ids(), graph_id=None)
    assert assigned.id == "new 1"
    assert [node.id for node in assigned.nodes] == ["new 2", "new 3"]
    assert assigned.links == (
        Link("new 4", "new 2", "new 3", "out", "in"),
        Link("new 5", "new 2", "new 3", "out", "in"),
    )
    assert assign_ids(draft, numbered_ids(), graph_id="kept").id == "kept"
    assert draft.id == "g"


def test_nodes_without_ids_are_told_apart() -> None:
    draft = read_draft(graph(nodes=[{"block_id": "x"}, {"block_id": "y", "id": None}]))
    assigned = assign_ids(draft, numbered_ids(), graph_id="g")
    assert [(node.id, node.block_id) for node in assigned.nodes] == [("new 1", "x"), ("new 2", "y")]


def test_a_link_to_no_node_keeps_the_unknown_id() -> None:
    draft = read_draft(graph(nodes=nodes("a"), links=[LINK]))
    (link,) = assign_ids(draft, numbered_ids(), graph_id="g").links
    assert (link.source_id, link.sink_id) == ("new 1", "b")


def test_two_nodes_must_not_share_an_id() -> None:
    draft = read_draft(graph(nodes=nodes("a", "b", "a")))
    with pytest.raises(Invalid, match=r"nodes\[2\].id is the id of another node: a"):
        assign_ids(draft, numbered_ids(), graph_id="g")


ids = st.text("abc", min_size=1, max_size=2)
names = texts.filter(bool)
drafts = st.builds(
    GraphDraft,
    id=st.none() | ids,
    version=st.none() | st.integers(1, 9),
    name=texts,
    description=texts,
    instructions=st.none() | texts,
    is_active=st.booleans(),
    allow_cycles=st.booleans(),
    nodes=st.lists(
        st.builds(
            Node,
            id=ids,
            block_id=names,
            input_default=st.dictionaries(texts, json_values, max_size=2),
            metadata=st.dictionaries(texts, json_values, max_size=2),
        ),
        max_size=4,
        unique_by=lambda node: node.id,
    ).map(tuple),
    links=st.lists(st.builds(Link, texts, ids, ids, names, names, st.booleans()), max_size=4).map(
        tuple
    ),
)


@given(drafts)
def test_a_draft_that_was_written_is_read_again(draft: GraphDraft) -> None:
    assert read_draft(msgspec.json.decode(msgspec.json.encode(draft))) == draft


@given(drafts)
def test_assigned_ids_are_new_and_keep_the_shape(draft: GraphDraft) -> None:
    assigned = assign_ids(draft, numbered_ids(), graph_id=None)
    known = {node.id for node in draft.nodes}
    given_again = {new.id: old.id for new, old in zip(assigned.nodes, draft.nodes, strict=True)}
    every_id = [assigned.id, *given_again, *(link.id for link in assigned.links)]
    assert len(set(every_id)) == len(every_id)
    for new, old in zip(assigned.links, draft.links, strict=True):
        for new_end, old_end in ((new.source_id, old.source_id), (new.sink_id, old.sink_id)):
            assert given_again.get(new_end, new_end) == old_end
            assert (new_end in given_again) is (old_end in known)
