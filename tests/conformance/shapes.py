"""Graphs, and parts of graphs, that show more than one rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from blocks.data import AddToList, StoreValue
from blocks.logic import Calculator, Condition, CountItems, StepThroughItems
from blocks.reviews import HumanInTheLoop
from blocks.text import CombineTexts, TextProcessing
from blocks.waiting import Wait
from blocks.web import SendWebRequest
from tests.support.graphs import (
    Document,
    agent,
    agent_input,
    agent_output,
    graph,
    items,
    node,
    with_policy,
)
from tests.support.http_server import Received, answer
from tests.support.plugin_blocks import CallsTool, Flaky, Slow

LATE_SECONDS = 0.05
"""How long a value is held back that shall come after others."""
LONG_SECONDS = 60.0
"""Longer than any test."""
FAILURE = "Unsupported operation: shout"


def failing(name: str) -> Document:
    """A node that fails with FAILURE."""
    return node(name, TextProcessing, text="x", operation="shout")


def late(name: str, data: Any) -> Document:
    """A node that yields `data` on `output` after all that needs no time."""
    return node(name, Wait, seconds=LATE_SECONDS, data=data)


def slow(name: str) -> Document:
    """A node that is at work for as long as it is let."""
    return node(name, Slow, seconds=LONG_SECONDS)


def waiting(name: str, seconds: float = LONG_SECONDS) -> Document:
    """A node that is suspended, and so does its run."""
    return node(name, Wait, seconds=seconds, data="waited")


def pair(name: str) -> Document:
    """A sink with the pins `input_$_0` and `input_$_1`, which puts both in one text."""
    return node(name, CombineTexts, delimiter="-")


def request(name: str, url: str) -> Document:
    """An effect. It takes `body_#_number`, and `response_#_number` is one more."""
    return node(name, SendWebRequest, url=url)


def joined(a: Document, b: Document) -> Document:
    """The items of `a` and `b` meet in `s`, whose texts are the output `y`."""
    links = """
        a.item > s.input_$_0
        b.item > s.input_$_1
        s.output > y.value
    """
    return graph(a, b, pair("s"), agent_output("y"), links=links)


def constant_and_items(constant: str, *nodes: Document, links: str = "") -> Document:
    """A static pin and the items of `a` meet in `s`, whose texts are the output `y`."""
    joins = f"""
        {constant} > s.input_$_0
        a.item > s.input_$_1
        s.output > y.value
    """
    return graph(*nodes, pair("s"), agent_output("y"), links=links + joins)


def late_constant() -> Document:
    """The constant `V` comes after three items."""
    nodes = (late("late", "V"), node("v", StoreValue), items("a", "1", "2", "3"))
    return constant_and_items("v.output", *nodes, links="late.output > v.input")


def constants_before_items() -> Document:
    """The constants `v1` and `v2` come before three items."""
    links = """
        twice.item > v.input
        late.output > a.items
    """
    constants = (items("twice", "v1", "v2"), node("v", StoreValue))
    late_items = (late("late", ["a1", "a2", "a3"]), node("a", StepThroughItems))
    return constant_and_items("v.output", *constants, *late_items, links=links)


def counting(start: Document, turns: int) -> Document:
    """A cycle that counts from 0, in which `add` runs `turns` times; then the number is `y`."""
    first = "item" if start["block_id"] == StepThroughItems.id else "result"
    links = f"""
        start.{first} > add.a
        add.result > test.value1
        test.yes_output > add.a
        test.no_output > y.value
    """
    add = node("add", Calculator, operation="Add", b=1)
    test = node("test", Condition, operator="<", value2=turns)
    return graph(start, add, test, agent_output("y"), links=links)


def endless() -> Document:
    """A node that feeds itself."""
    links = """
        start.output > add.list
        add.updated_list > add.list
    """
    return graph(node("start", StoreValue, input=["same"]), node("add", AddToList), links=links)


def effects_in_a_row(url: str) -> Document:
    """The number 0 through the effects `a` and `b`, which make it 2; that is `y`."""
    links = """
        start.item > a.body_#_number
        a.response_#_number > b.body_#_number
        b.response_#_number > y.value
    """
    nodes = (items("start", 0), request("a", url), request("b", url), agent_output("y"))
    return graph(*nodes, links=links)


def effects_in_turns(url: str, turns: int) -> Document:
    """A cycle that counts from 0 by the effect `a`; the number is `y`."""
    links = """
        start.item > a.body_#_number
        a.response_#_number > test.value1
        test.yes_output > a.body_#_number
        test.no_output > y.value
    """
    test = node("test", Condition, operator="<", value2=turns)
    return graph(items("start", 0), request("a", url), test, agent_output("y"), links=links)


def effect_then_flaky(url: str, attempts: Path) -> Document:
    """The effect `a`, then `f`, which is available from its second attempt on; that is `y`."""
    links = """
        start.item > a.body_#_number
        a.response_#_number > f.succeeds_at
        f.output > y.value
    """
    f = node("f", Flaky, path=str(attempts))
    nodes = (items("start", 1), request("a", url), f, agent_output("y"))
    return graph(*nodes, links=links)


def doubted(*ways: str, url: str) -> Document:
    """Effects side by side, each named for what its policy says to do when it is in doubt."""
    nodes = (with_policy(request(way, url), in_doubt=way) for way in ways)
    links = "\n".join(f"number.item > {way}.body_#_number" for way in ways)
    return graph(items("number", 1), *nodes, links=links)


def one_effect(url: str) -> Document:
    """The input `x` through the effect `a`, which adds 1; that is `y`."""
    links = """
        x.result > a.body_#_number
        a.response_#_number > y.value
    """
    return graph(agent_input("x"), request("a", url), agent_output("y"), links=links)


def name_the_next(request: Received) -> bytes:
    """An answer that names the URL that it was asked for."""
    url = f"http://{request.headers['host']}{request.target}"
    return answer(200, msgspec.json.encode({"next": url}), Content_Type="application/json")


def endless_requests(url: str) -> Document:
    """Each answer names the URL of the next request."""
    links = """
        first.item > web.url
        web.response_#_next > web.url
    """
    return graph(items("first", url), node("web", SendWebRequest), links=links)


def requests_at_once(url: str, times: int) -> Document:
    links = "urls.item > web.url"
    return graph(items("urls", *[url] * times), node("web", SendWebRequest), links=links)


def sleeping() -> Document:
    """Takes the input `x` and is at work for as long as it is let."""
    return graph(agent_input("x"), slow("sleeps"), links="x.result > sleeps.value")


def sleeping_beside(child: Document, times: int) -> Document:
    """So many nodes at work, and a run of the graph `sleeping`."""
    links = """
        each.item > sleeps.value
        one.item > sub.x
    """
    nodes = (items("one", 1), agent("sub", child), items("each", *range(times)), slow("sleeps"))
    return graph(*nodes, links=links)


def handing_on(child: Document, *pins: str, **inputs: Any) -> Document:
    """A run of another graph as the node `sub`; what it yields on these pins are the outputs."""
    links = "\n".join(f"sub.{pin} > {pin}.value" for pin in pins)
    return graph(agent("sub", child, **inputs), *map(agent_output, pins), links=links)


def around(child: Document) -> Document:
    """A run of a graph from `x` to `y`, with the same ends."""
    links = """
        x.result > sub.x
        sub.y > y.value
    """
    return graph(agent_input("x"), agent("sub", child), agent_output("y"), links=links)


def one_by_one(child: Document, *values: Any) -> Document:
    """A run of a graph from `x` to `y` for each of the values."""
    links = """
        each.item > sub.x
        sub.y > y.value
    """
    return graph(items("each", *values), agent("sub", child), agent_output("y"), links=links)


def two_outputs_twice() -> Document:
    links = """
        a.item > p.value
        b.item > q.value
    """
    sources = (items("a", "p1", "p2"), items("b", "q1", "q2"))
    return graph(*sources, agent_output("p"), agent_output("q"), links=links)


def calling_tools(*names: str) -> Document:
    """Of the outputs with these names, the one whose node's id is the input `which` gets 1."""
    links = "\n".join(["which.result > call.node", *(f"call.tools > {n}.value" for n in names)])
    call = node("call", CallsTool, field="value", value=1)
    return graph(agent_input("which"), call, *map(agent_output, names), links=links)


def echo_and_count() -> Document:
    """The input `x` is the output `y`, and each of its items is counted."""
    links = """
        x.result > y.value
        x.result > each.items
        each.item > count.collection
    """
    nodes = (agent_input("x"), agent_output("y"), node("each", StepThroughItems))
    return graph(*nodes, node("count", CountItems), links=links)


def question(name: str = "ask", **given: Any) -> Document:
    return node(name, HumanInTheLoop, **{"name": "The number", **given})


def asking(**given: Any) -> Document:
    """A person is asked about `data`; another branch goes on. Answers have outputs of their own."""
    links = """
        data.item > ask.data
        ask.approved_data > approved.value
        ask.rejected_data > rejected.value
        ask.review_message > message.value
        other.item > meanwhile.value
    """
    outputs = [agent_output(name) for name in ("approved", "rejected", "message", "meanwhile")]
    data, other = items("data", {"number": 1}), items("other", "done")
    return graph(data, question(**given), other, *outputs, links=links)


def asking_at_once(*values: Any) -> Document:
    """A person is asked about each of the values, with the outputs `approved` and `rejected`."""
    links = """
        data.item > ask.data
        ask.approved_data > approved.value
        ask.rejected_data > rejected.value
    """
    outputs = [agent_output(name) for name in ("approved", "rejected")]
    return graph(items("data", *values), question(), *outputs, links=links)


def asking_each_turn(turns: int) -> Document:
    """A person is asked about 0, 1, … before each turn of a cycle; the count is `y`."""
    links = """
        start.item > ask.data
        ask.approved_data > add.a
        add.result > test.value1
        test.yes_output > ask.data
        test.no_output > y.value
    """
    add = node("add", Calculator, operation="Add", b=1)
    test = node("test", Condition, operator="<", value2=turns)
    return graph(items("start", 0), question(), add, test, agent_output("y"), links=links)
