"""The cases C1 to C34 of docs/engine-rules.md, over HTTP on a whole installation.

Deliberate differences to the original are named where they show: C16, C24, C29, C30 and C33.
More about the same rules is in the files beside this one.
"""

from __future__ import annotations

from typing import Any

import pytest

from blocks.data import AddToList
from blocks.logic import Calculator, Condition
from blocks.text import FillTextTemplate, TextProcessing
from blocks.triggers import GenericWebhookTrigger
from domain.credits import NO_BALANCE
from domain.engine.plan import NOT_BY_HAND
from domain.engine.schemas import REQUIRED
from domain.limits import run_limits, worker_limits
from tests.conformance import shapes
from tests.conformance.people import asked, credits_of, decide, poor, reviewed
from tests.support.api import Caller, Platform, answered
from tests.support.effects import Effects
from tests.support.graphs import (
    Document,
    agent_input,
    agent_output,
    echo,
    graph,
    items,
    node,
    with_metadata,
)
from tests.support.http_server import http_server
from tests.support.installation import Installation
from tests.support.plugin_blocks import NeedsCredentials, YieldsThenFails


async def test_c1_an_input_reaches_an_output(user: Caller) -> None:
    outcome = await user.run(echo(), {"x": {"any": [1, None]}, "unknown": 0})
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": [{"any": [1, None]}]}


async def test_c2_each_yield_starts_its_own_execution(user: Caller) -> None:
    nodes = (items("a", 1, 2, 3), agent_output("y"))
    outcome = await user.run(graph(*nodes, links="a.item > y.value"))
    assert outcome.outputs == {"y": [1, 2, 3]}
    assert outcome.statuses("y") == ["COMPLETED"] * 3


async def test_c3_two_pins_are_paired_first_in_first_out(user: Caller) -> None:
    outcome = await user.run(shapes.joined(items("a", "a1", "a2"), items("b", "b1", "b2")))
    assert outcome.outputs == {"y": ["a1-b1", "a2-b2"]}


async def test_c4_what_finds_no_partner_is_left_incomplete(user: Caller) -> None:
    outcome = await user.run(shapes.joined(items("a", "a1", "a2"), items("b", "b1")))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": ["a1-b1"]}
    assert outcome.statuses("s") == ["COMPLETED", "INCOMPLETE"]
    assert outcome.executions["s"][1]["input_data"] == {"input_$_0": "a2"}


async def test_c5_two_links_into_one_pin_are_no_join(user: Caller) -> None:
    links = """
        a.item > y.value
        b.item > y.value
    """
    nodes = (items("a", "a"), items("b", "b"), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.outputs == {"y": ["a", "b"]}


async def test_c6_a_static_value_is_used_again(user: Caller) -> None:
    nodes = (agent_input("v"), items("a", "1", "2", "3"))
    outcome = await user.run(shapes.constant_and_items("v.result", *nodes), {"v": "V"})
    assert outcome.outputs == {"y": ["V-1", "V-2", "V-3"]}


async def test_c7_a_late_static_value_releases_all_that_wait(user: Caller) -> None:
    outcome = await user.run(shapes.late_constant())
    assert outcome.outputs == {"y": ["V-1", "V-2", "V-3"]}
    arrived = outcome.only("v")["end_time"]
    assert all(e["add_time"] < arrived <= e["queue_time"] for e in outcome.executions["s"])


async def test_c7b_static_values_queue_up_and_the_last_is_repeated(user: Caller) -> None:
    outcome = await user.run(shapes.constants_before_items())
    assert outcome.outputs == {"y": ["v1-a1", "v2-a2", "v2-a3"]}


async def test_c8_keys_of_one_object_come_from_two_nodes(user: Caller) -> None:
    links = """
        a.item > fill.values_#_a
        b.item > fill.values_#_b
    """
    given = {"values": {"kept": "k", "a": "old"}, "format": "{{ a }}"}
    nodes = (items("a", 1), items("b", 2), node("fill", FillTextTemplate, **given))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.only("fill")["input_data"]["values"] == {"kept": "k", "a": 1, "b": 2}
    assert outcome.only("fill")["output_data"] == {"output": ["1"]}


async def test_c9_a_list_is_padded_up_to_its_index(user: Caller) -> None:
    nodes = (items("a", "v"), node("add", AddToList))
    outcome = await user.run(graph(*nodes, links="a.item > add.list_$_2"))
    assert outcome.only("add")["output_data"] == {"updated_list": [[None, None, "v"]]}


async def test_c10_nothing_selected_is_not_delivered_and_null_is(user: Caller) -> None:
    links = """
        a.item_#_missing > y.value
        a.item > z.value
    """
    nodes = (items("a", {"missing": None}, {}, None), agent_output("y"), agent_output("z"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.outputs == {"z": [{"missing": None}, {}, None]}
    assert outcome.statuses("y") == []


async def test_c11_a_path_selects_a_nested_value(user: Caller) -> None:
    nodes = (items("a", {"a": [5, 6]}), agent_output("y"))
    outcome = await user.run(graph(*nodes, links="a.item_#_a_$_0 > y.value"))
    assert outcome.outputs == {"y": [5]}


async def test_c12_a_failure_is_an_output(user: Caller) -> None:
    nodes = (shapes.failing("f"), agent_output("y"))
    outcome = await user.run(graph(*nodes, links="f.error > y.value"))
    assert outcome.outputs == {"y": [shapes.FAILURE]}
    assert (outcome.status, outcome.run["stats"]["node_error_count"]) == ("COMPLETED", 1)
    assert outcome.statuses("f") == ["FAILED"]
    assert outcome.only("f")["output_data"] == {"error": [shapes.FAILURE]}


async def test_c13_a_failure_does_not_stop_the_others(user: Caller) -> None:
    links = """
        f.processed_text > never.value
        a.item > y.value
    """
    nodes = (shapes.failing("f"), agent_output("never"), items("a", 1), agent_output("y"))
    outcome = await user.run(graph(*nodes, links=links))
    assert outcome.outputs == {"y": [1]}
    assert (outcome.status, outcome.run["stats"]["node_error_count"]) == ("COMPLETED", 1)


async def test_c14_what_came_before_a_failure_is_delivered(user: Caller) -> None:
    links = """
        f.output > y.value
        f.error > z.value
    """
    fails = node("f", YieldsThenFails, value="a", error="broken")
    outcome = await user.run(graph(fails, agent_output("y"), agent_output("z"), links=links))
    assert outcome.outputs == {"y": ["a"], "z": ["broken"]}
    assert outcome.statuses("f") == ["FAILED"]


@pytest.mark.parametrize("start", [items("start", 0), agent_input("start", value=0)])
async def test_c15_a_cycle_ends_where_its_condition_says(user: Caller, start: Document) -> None:
    outcome = await user.run(shapes.counting(start, turns=7))
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"y": [7]}
    assert [given["a"] for given in outcome.inputs("add")] == list(range(7))


async def test_c16_a_loop_without_end_runs_into_our_bound(user: Caller) -> None:
    """The original goes on until the credits or the memory end."""
    outcome = await user.run(shapes.endless())
    most = run_limits.CYCLIC_RUN_STEPS_MAX
    assert outcome.status == "FAILED"
    assert outcome.run["stats"]["error"] == (
        f"The run used up its budget of {most} node executions"
    )
    assert len(outcome.inputs("add")) == most


@pytest.mark.parametrize(
    ("value", "pin", "sink", "expected"),
    [
        ({"a": 1}, "text", node("s", TextProcessing, operation="upper"), '{"A":1}'),
        ("abc", "a", node("s", Calculator, operation="Add", b=5), 5),
        ("1", "round_result", node("s", Calculator, operation="Add", a=1, b=0.25), 1),
    ],
)
async def test_c17_values_become_what_the_pin_declares(
    user: Caller, value: Any, pin: str, sink: Document, expected: Any
) -> None:
    outcome = await user.run(graph(items("a", value), sink, links=f"a.item > s.{pin}"))
    assert [expected] in outcome.only("s")["output_data"].values()


async def test_c18_a_required_pin_without_link_and_value_is_refused(user: Caller) -> None:
    shout = node("s", TextProcessing, text="x")
    saved = await user.save(graph(shout, agent_output("y"), links="s.result > y.value"))
    refused = answered(await user.post(saved.execute_path), 400)["detail"]
    assert refused["message"] == "Graph validation failed: 1 issues on 1 nodes"
    assert refused["node_errors"] == {saved.ids["s"]: {"operation": REQUIRED}}


@pytest.mark.parametrize(
    "link", ["a.thing > y.value", "a.item > y.thing", "a.item > gone.value", "gone.item > y.value"]
)
async def test_c19_a_link_to_nowhere_is_refused(user: Caller, link: str) -> None:
    nodes = (items("a", 1), agent_output("y"))
    answered(await user.post("/api/v1/graphs", {"graph": graph(*nodes, links=link)}), 400)


async def test_c19_an_unknown_block_is_refused(user: Caller) -> None:
    unknown = {"id": "u", "block_id": "00000000-0000-4000-8000-000000000000"}
    answered(await user.post("/api/v1/graphs", {"graph": graph(unknown)}), 400)


async def test_c20_a_linked_pin_never_falls_back_to_its_default(user: Caller) -> None:
    test = node("test", Condition, value1=1, operator="==", value2=1)
    nodes = (test, agent_output("y", value="default"))
    outcome = await user.run(graph(*nodes, links="test.no_output > y.value"))
    assert (outcome.status, outcome.outputs) == ("COMPLETED", {})
    assert outcome.statuses("y") == []


async def test_c21_a_linked_input_starts_and_is_started_again(user: Caller) -> None:
    links = """
        a.item > x.value
        x.result > y.value
    """
    nodes = (items("a", "delivered"), agent_input("x"), agent_output("y"))
    saved = await user.save(graph(*nodes, links=links))
    outcome = await user.ended(saved, await user.start(saved, {"x": "given"}))
    assert outcome.outputs == {"y": ["given", "delivered"]}
    refused = answered(await user.post(saved.execute_path), 400)
    assert refused["detail"]["node_errors"] == {saved.ids["x"]: {"value": REQUIRED}}


async def test_c22_one_node_that_cannot_start_refuses_the_run(user: Caller) -> None:
    links = """
        a.item > y.value
        test.result > y.value
    """
    test = node("test", Condition, value1=1, operator="~", value2=2)
    saved = await user.save(graph(items("a", 1), test, agent_output("y"), links=links))
    refused = answered(await user.post(saved.execute_path), 400)
    assert list(refused["detail"]["node_errors"]) == [saved.ids["test"]]
    assert await user.read("/api/v1/executions") == []


async def test_c23_a_sub_graph_yields_by_the_names_of_its_outputs(user: Caller) -> None:
    child = await user.save(shapes.two_outputs_twice())
    outcome = await user.run(shapes.handing_on(child.model, "p", "q"))
    assert outcome.outputs == {"p": ["p1", "p2"], "q": ["q1", "q2"]}
    assert outcome.only("sub")["output_data"] == outcome.outputs


async def test_c24_the_failure_of_a_sub_graph_is_an_error_of_its_node(user: Caller) -> None:
    """The original completes the node and says nothing."""
    child = await user.save(graph(shapes.request("costs", "http://127.0.0.1/")))
    outcome = await user.run(shapes.handing_on(child.model, "error"), budget={"credits": 0})
    assert outcome.outputs == {"error": ["The run used up its budget of 0 credits"]}
    assert outcome.statuses("sub") == ["FAILED"]
    assert (outcome.status, outcome.run["stats"]["node_error_count"]) == ("COMPLETED", 1)


async def test_c25_a_stop_ends_what_works_what_is_queued_and_children(user: Caller) -> None:
    child = await user.save(shapes.sleeping())
    at_once = worker_limits.EXECUTOR_NODES_PER_RUN_MAX
    saved = await user.save(shapes.sleeping_beside(child.model, times=at_once + 1))
    run_id = await user.start(saved)
    (child_id,) = (await user.until(saved, run_id, lambda run: run.children("sub"))).children("sub")
    assert (await user.command(saved, run_id, "stop"))["status"] == "TERMINATED"
    outcome = await user.ended(saved, run_id)
    assert outcome.statuses("sleeps") == ["TERMINATED"] * (at_once + 1)
    assert outcome.statuses("sub") == ["TERMINATED"]
    stopped = await user.ended(child, child_id)
    assert (stopped.status, stopped.statuses("sleeps")) == ("TERMINATED", ["TERMINATED"])


async def test_c26_what_is_approved_goes_on_and_others_went_on_before(user: Caller) -> None:
    saved = await user.save(shapes.asking())
    run_id = await user.start(saved)
    (question,) = await asked(user, saved, run_id)
    assert question["payload"] == {"number": 1}
    assert (await user.see(saved, run_id)).outputs == {"meanwhile": ["done"]}
    await decide(user, question, approved=True)
    outcome = await user.ended(saved, run_id)
    assert outcome.status == "COMPLETED"
    assert outcome.outputs == {"meanwhile": ["done"], "approved": [{"number": 1}]}


async def test_c26_what_is_edited_goes_on_as_edited(user: Caller) -> None:
    outcome = await reviewed(user, shapes.asking(), approved=True, reviewed_data={"number": 2})
    assert outcome.outputs["approved"] == [{"number": 2}]


async def test_c26_what_is_rejected_goes_another_way(user: Caller) -> None:
    outcome = await reviewed(user, shapes.asking(), approved=False, message="never")
    assert outcome.outputs["rejected"] == [{"number": 1}]
    assert outcome.outputs["message"] == ["never"]
    assert "approved" not in outcome.outputs


async def test_c26_an_approval_of_all_edits_nothing(user: Caller) -> None:
    edit = {"reviewed_data": 100, "auto_approve_future": True}
    outcome = await reviewed(user, shapes.asking_each_turn(3), approved=True, **edit)
    assert outcome.outputs == {"y": [3]}
    assert [bool(e["review"]) for e in outcome.executions["ask"]] == [True, False, False]


async def test_c27_a_run_ends_when_the_credits_do(installation: Platform) -> None:
    """Each answer names the next request; three can be paid for."""
    user = await poor(installation, 3)
    async with http_server({"/next": shapes.name_the_next}) as server:
        outcome = await user.run(shapes.endless_requests(server.url("/next")))
    assert (outcome.status, outcome.run["stats"]["error"]) == ("FAILED", NO_BALANCE)
    assert outcome.run["stats"]["cost"] == len(server.received) == 3
    assert outcome.statuses("web") == ["COMPLETED"] * 3 + ["FAILED"]
    assert await credits_of(user) == 0


async def test_c28_a_stored_output_is_routed_once_after_a_death(
    installation: Installation, user: Caller, service: Effects
) -> None:
    saved = await user.save(shapes.effects_in_a_row(service.url))
    async with installation.without_executor():
        async with installation.doomed_executor("result.appended:kill9@3"):
            run_id = await user.start(saved)
        at_death = await user.see(saved, run_id)
        assert at_death.statuses("a") == ["COMPLETED"]
        assert at_death.statuses("y") == []
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": [2]}
    assert set(service.seen.values()) == {1}


async def test_c29_a_node_is_run_again_under_its_id_and_charged_once(
    installation: Installation, user: Caller, service: Effects
) -> None:
    """The original starts from zero, charges again and forgets that it did."""
    saved, before = await user.save(shapes.one_effect(service.url)), await credits_of(user)
    with service.held():
        run_id = await user.start(saved, {"x": 1})
        await service.asked(1)
        await installation.kill_executor()
        await service.asked(2)
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": [2]}
    assert service.seen == {outcome.only("a")["node_exec_id"]: 2}
    assert outcome.only("a")["attempt"] == 2
    assert await credits_of(user) == before - 1


async def test_c30_the_same_sub_graph_is_joined_again_after_a_death(
    installation: Installation, user: Caller, service: Effects
) -> None:
    """The original starts a second one."""
    child = await user.save(shapes.one_effect(service.url))
    saved = await user.save(shapes.handing_on(child.model, "y", x=1))
    with service.held():
        run_id = await user.start(saved)
        await service.asked(1)
        await installation.kill_executor()
        await service.asked(2)
    outcome = await user.ended(saved, run_id)
    assert outcome.outputs == {"y": [2]}
    (child_id,) = outcome.children("sub")
    assert {run["id"] for run in await user.read("/api/v1/executions")} == {run_id, child_id}


async def test_c31_a_node_without_its_optional_credentials_is_skipped(user: Caller) -> None:
    optional = with_metadata(node("n", NeedsCredentials), credentials_optional=True)
    nodes = (items("a", 1, 2, 3), optional, agent_output("y"))
    outcome = await user.run(graph(*nodes, links="a.item > n.value\nn.output > y.value"))
    assert (outcome.status, outcome.outputs) == ("COMPLETED", {})
    skipped = [(e["status"], e["output_data"]) for e in outcome.executions["n"]]
    assert (skipped, outcome.run["stats"]["cost"]) == ([("COMPLETED", {})] * 3, 0)


@pytest.mark.parametrize("addressed", ["a", "b"])
async def test_c32_a_tool_is_called_by_node_and_pin(user: Caller, addressed: str) -> None:
    saved = await user.save(shapes.calling_tools("a", "b"))
    run_id = await user.start(saved, {"which": saved.ids[addressed]})
    assert (await user.ended(saved, run_id)).outputs == {addressed: [1]}


async def test_c33_a_long_run_keeps_the_outputs_of_its_start(user: Caller) -> None:
    """The original forgets all but the newest 1,000 node executions."""
    given = [["entry"]] * 1_497
    outcome = await user.run(shapes.echo_and_count(), {"x": given})
    assert outcome.outputs == {"y": [given]}
    assert outcome.run["stats"]["node_exec_count"] == 1_500
    assert sum(map(len, outcome.executions.values())) == 1_500


async def test_c34_what_starts_with_an_event_is_not_started_by_hand(user: Caller) -> None:
    links = "hook.payload > y.value"
    saved = await user.save(
        graph(node("hook", GenericWebhookTrigger), agent_output("y"), links=links)
    )
    refused = answered(await user.post(saved.execute_path), 400)["detail"]
    assert refused["node_errors"] == {saved.ids["hook"]: {"payload": NOT_BY_HAND}}
