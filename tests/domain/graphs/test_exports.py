"""An export says all of a graph but its secrets, wherever a node may keep them."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.catalogue import CONTRACTS
from blocks.data import StoreValue
from domain.graphs.exports import without_secrets
from domain.graphs.files import GraphDraft, Node
from domain.limits import memory_limits


def exported(value: Any) -> Any:
    """What a pin's value and a node's metadata become, which is the same."""
    graph = GraphDraft(
        name="x", nodes=(Node("n", StoreValue.id, {"input": value}, {"x": {"input": value}}),)
    )
    (node,) = without_secrets(graph, CONTRACTS).nodes
    assert node.metadata == {"x": node.input_default}
    return node.input_default.get("input")


def schema(**of_the_key: Any) -> dict[str, Any]:
    """As a node has it that runs another agent."""
    properties = {"api_key": of_the_key, "city": {"type": "string", "default": "Lyon"}}
    return {"type": "object", "properties": properties, "required": ["api_key"]}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"accessToken": "x", "author": "me"}, {"author": "me"}),
        ({"a": [{"credentials": {"user": "x"}, "auth": ["x"]}]}, {"a": [{}]}),
        ([{"name": "Authorization", "value": "x"}], [{"name": "Authorization"}]),
        ([{"Key": "X-Api-Key", "Value": "x", "on": True}], [{"Key": "X-Api-Key", "on": True}]),
        ({"header_name": "Cookie", "header_value": "x"}, {"header_name": "Cookie"}),
        ([["Cookie", "x"], ["Accept", "y"]], [["Cookie", "***"], ["Accept", "y"]]),
        ('{"Authorization":"Bearer x"}', "{}"),
        (' [{"name":"pwd","value":"x"}]', '[{"name":"pwd"}]'),
        ('{"a":"{\\"jwt\\":\\"x\\",\\"b\\":1}"}', '{"a":"{\\"b\\":1}"}'),
        ('{"url":"https://u:p@h"}', '{"url":"https://***@h"}'),
        ('{"cut": "https://u:p@h', '{"cut": "https://***@h'),
        (schema(type="string", title="Key", default="x"), schema(type="string", title="Key")),
        (schema(default="x"), schema()),
        ({"properties": {"auth": {"user": "x"}, "pwd": "x"}}, {"properties": {}}),
        ("https://u:p@h/?api_key=x", "https://***@h/?api_key=***"),
        (["Authorization: Basic dTpw"], ["Authorization: ***"]),
    ],
)
@pytest.mark.holds("S43")
def test_a_secret_stays_at_home(value: Any, shown: Any) -> None:
    assert exported(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"author": "me", "authority": "x", "tokens_used": "7", "max_tokens": 5, "auth": False},
        [{"name": "Accept", "value": "x"}, {"name": "author", "value": "y"}, {"value": "z"}],
        [["a", "b"], ["token"], ["token", "of", "esteem"]],
        ["token", "secret"],
        '{ "author" : "me", "n": 1.0, "big": 123456789012345678901234567890 }',
        "[1] The bearer of this knows the author: {{ name }}",
        "{% if password %}{{ password }}{% endif %}",
        "[" * 100_000,
        "[" * 500 + "]" * 500,
        None,
    ],
)
def test_whatever_else_goes_along_as_it_is(value: Any) -> None:
    assert exported(value) == value


def test_texts_within_texts_are_followed_as_far_as_they_go() -> None:
    deep = "[" * 400 + '"Bearer x1"' + "]" * 400
    assert "x1" not in exported(f"[{deep}]")
    many = "[" + "0," * memory_limits.BODY_VALUES_MAX + '"Bearer x1"]'
    assert "x1" not in exported(many)


def test_what_describes_a_graph_is_looked_through_too() -> None:
    graph = GraphDraft(
        name="x", description="see https://u:p@h", instructions="use /?token=x", nodes=()
    )
    shown = without_secrets(graph, CONTRACTS)
    assert (shown.description, shown.instructions) == ("see https://***@h", "use /?token=***")
