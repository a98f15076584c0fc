"""Attacks with runs."""

from __future__ import annotations

import asyncio
import json

from benchmarks.neighbours.attacks.attack import Attack
from benchmarks.neighbours.bad_answers import ANSWERS
from benchmarks.neighbours.nuisance import (
    Document,
    Nuisance,
    each,
    given,
    graph,
    node,
    over_and_over,
)
from benchmarks.neighbours.outside import NAME
from blocks.agents import AgentExecutor
from blocks.data import StoreValue
from blocks.text import FillTextTemplate
from blocks.web import SendWebRequest

LEVELS = 4
TENS = list(range(10))
NAMES = 200
REPEATED = 40
TOO_SLOW = "takes longer than 1 s"
HARD = sorted(set(ANSWERS) - {"nothing"})


async def hard_answers(user: Nuisance) -> None:
    """Answers that claim a charset or a type which takes minutes, or come in tiny pieces."""
    urls = [f"{user.service}/{name}" for name in HARD * 5]
    model = await user.save(_requests(urls))
    await user.run_over_and_over(model, pause_seconds=0.5)


async def silent_names(user: Nuisance) -> None:
    """Names whose server never answers."""
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        urls = [f"http://{number}.of-{runs}.silent/" for number in range(NAMES)]
        model = await user.save(_requests(urls))
        await user.watch(model, lambda page: {"requests under way": _count(page, "RUNNING")})

    await asyncio.gather(*(over_and_over(run) for _ in range(4)))


async def slow_templates(user: Nuisance) -> None:
    """Templates that compute until they are stopped, with much in memory, and print nothing."""
    endless = (
        "{% set much = 'x' * (n + 150000000) %}"
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    )
    fill = node("fill", FillTextTemplate, values={}, format=endless)
    model = await user.save(graph([each(list(range(60))), fill], "each.item > fill.values_#_n"))
    await asyncio.gather(
        user.watch(model, lambda page: {"templates stopped": json.dumps(page).count(TOO_SLOW)}),
        user.run_over_and_over(model),
    )


async def deep_graphs(user: Nuisance) -> None:
    """Ten sub-graphs, each of which has ten sub-graphs, each of which …"""
    model = await user.save(graph([given("x"), node("leaf", StoreValue)], "x.result > leaf.input"))
    for _ in range(LEVELS):
        model = await user.save(_ten_of(model, model["version"]))
    await asyncio.gather(
        user.watch(model, _sub_graphs, inputs={"x": 1}),
        user.run_over_and_over(model, pause_seconds=0.5, inputs={"x": 1}),
    )


async def graph_in_itself(user: Nuisance) -> None:
    """Ten times itself, with a small budget and with none."""
    leaf = await user.save(graph([given("x"), node("leaf", StoreValue)], "x.result > leaf.input"))
    first = await user.save(_ten_of(leaf, leaf["version"]))
    model = await user.save_again(first, _ten_of(first, first["version"] + 1))
    budget = {"steps": 15, "seconds": 3}

    async def run_small() -> None:
        page = await user.watch(model, _sub_graphs, inputs={"x": 1}, budget=budget)
        user.done["budgets used up"] += "used up its budget" in str(page["stats"])

    await asyncio.gather(
        over_and_over(run_small),
        user.run_over_and_over(model, inputs={"x": 1}, budget=budget),
        user.run_over_and_over(model, pause_seconds=0.5, inputs={"x": 1}),
    )


async def endless_retries(user: Nuisance) -> None:
    """Requests that are repeated as often and as soon as a policy can say."""
    policy = {"retries": {"attempts": 100, "first_seconds": 0, "factor": 1}}
    model = await user.save(_requests([f"{user.service}/nothing"] * 10, policy))
    await user.start(model)
    while user.done["nothing asked for"] < 10 + REPEATED:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.05)
    user.done["requests repeated"] = user.done["nothing asked for"] - 10
    await user.run_over_and_over(model)


def asking(service: str) -> Document:
    """An agent that sends one request."""
    return graph([node("get", SendWebRequest, url=service, method="GET")])


def asking_by_name(service: str) -> Document:
    port = service.rpartition(":")[2]
    return asking(f"http://{NAME}:{port}")


def looping(_: str) -> Document:
    """An agent whose template is rendered where those of the others are."""
    text = "{% for n in range(9) %}{{ n }}{% endfor %}"
    return graph([node("fill", FillTextTemplate, values={"x": 1}, format=text)])


def _requests(urls: list[str], policy: Document | None = None) -> Document:
    get = node("get", SendWebRequest, method="GET")
    get["metadata"] = {"policy": policy or {}}
    return graph([each(urls), get], "each.item > get.url")


def _ten_of(model: Document, version: int) -> Document:
    sub = node(
        "sub",
        AgentExecutor,
        graph_id=model["id"],
        graph_version=version,
        input_schema=model["input_schema"],
        output_schema=model["output_schema"],
    )
    return graph([given("x"), each(TENS), sub], "each.item > sub.x")


def _sub_graphs(page: Document) -> dict[str, int]:
    return {
        "sub-graphs of one run": sum(
            bool(one["child_execution_id"]) for one in page["node_executions"]
        )
    }


def _count(page: Document, status: str) -> int:
    return sum(one["status"] == status for one in page["node_executions"])


RUNS = (
    Attack(
        hard_answers,
        {"runs started": 2, **{f"{name} asked for": 4 for name in HARD}},
        agent=asking,
    ),
    Attack(silent_names, {"requests under way": 40}, agent=asking_by_name),
    Attack(slow_templates, {"runs started": 3, "templates stopped": 1}, agent=looping),
    Attack(deep_graphs, {"runs started": 3, "sub-graphs of one run": 10}),
    Attack(graph_in_itself, {"runs started": 5, "budgets used up": 1}),
    Attack(endless_retries, {"runs started": 2, "requests repeated": REPEATED}, agent=asking),
)
