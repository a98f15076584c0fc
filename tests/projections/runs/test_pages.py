"""Pages of a run are bounded by bytes, whatever its executions and outputs are made of."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgspec
import pytest

from blocks.data import StoreValue
from blocks.text import TextProcessing
from domain.limits import request_limits, value_limits
from domain.runs import NodeCompleted, NodeFailed, RunCompleted, RunStats
from projections.runs.views import Views
from runtime.aggregates.repository import Repository
from runtime.aggregates.run_repository import RunRepository
from tests.commands.runs.driving import saved
from tests.projections.lived import Life
from tests.projections.runs.test_views import look
from tests.support.graphs import Document, agent_output, graph, items, node

COUNT = 900
MEGABYTE = 1024 * 1024


async def spread(repository: Repository, values: list[Any], *nodes: Document, links: str) -> Life:
    """A run whose first node has yielded the values."""
    document = graph(items("a", 1), *nodes, links=links)
    life = Life(repository, await saved(repository, document), 0)
    await life.begin()
    (first,) = life.unfinished()
    outputs = [("item", value) for value in values]
    await life.write(NodeCompleted(0, first.node.node.node_id, outputs, 1))
    return life


def counted(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes of all values that are read from now on."""
    read: list[str] = []
    get = repository.log.values.get

    async def counting(owner: str, hashes: Any) -> dict[str, bytes]:
        read.extend(hashes)
        return await get(owner, hashes)

    monkeypatch.setattr(repository.log.values, "get", counting)
    return read


async def test_a_stored_value_that_is_repeated_is_referred_to_and_not_read(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "x" * value_limits.VALUE_SHOWN_BYTES_MAX
    life = await spread(repository, [text] * COUNT, agent_output("y"), links="a.item > y.value")
    read = counted(repository, monkeypatch)
    page = await look(Views(RunRepository(repository)), life.run_id)
    [(key, size)] = page["large_values"].items()
    reference = {"large_value": key}
    assert size == len(text) + 2
    assert page["outputs"] == {"y": [reference] * COUNT}
    assert [one["input_data"].get("value") for one in page["node_executions"]] == [
        None,
        *[reference] * COUNT,
    ]
    assert (page["next_after"], page["next_outputs"], read) == (None, None, [])
    assert len(msgspec.json.encode(page)) < 2 * MEGABYTE


async def test_a_value_that_many_events_name_is_read_once_for_their_fold(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, up = node("kept", StoreValue), node("up", TextProcessing, operation="upper")
    links = "a.item > kept.input\nkept.output > up.text"
    life = await spread(repository, list(range(50)), kept, up, links=links)
    texts = ["x" * value_limits.VALUE_SHOWN_BYTES_MAX, "y" * value_limits.VALUE_SHOWN_BYTES_MAX]
    for execution in life.unfinished():
        text = texts[execution.number > 40]
        outputs = [("output", text)]
        await life.write(NodeCompleted(execution.number, execution.node.node.node_id, outputs, 1))
    read = counted(repository, monkeypatch)
    page = await look(Views(RunRepository(repository)), life.run_id)
    assert len(page["node_executions"]) == 101
    assert len(page["large_values"]) == len(read) == 2


async def test_a_default_that_is_repeated_is_in_memory_once(repository: Repository) -> None:
    kept = node("kept", StoreValue, note="x" * 3 * MEGABYTE)
    life = await spread(repository, list(range(COUNT)), kept, links="a.item > kept.input")
    views = Views(RunRepository(repository))
    await look(views, life.run_id)
    tracemalloc.start()
    try:
        page = await look(views, life.run_id)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(page["node_executions"]) == page["next_after"] == 3
    # Once as JSON, once in each of two executions, and all of that again when a test decodes it.
    assert peak < 8 * 3 * MEGABYTE


async def test_all_that_is_told_of_an_execution_counts(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await spread(repository, list(range(100)), agent_output("y"), links="a.item > y.value")
    error = "\N{EURO SIGN}" * value_limits.ERROR_CHARS_MAX
    for execution in life.unfinished():
        await life.write(NodeFailed(execution.number, execution.node.node.node_id, error, 1))
    room = 128 * 1024
    monkeypatch.setattr(request_limits, "EXECUTIONS_PAGE_BYTES", room)
    views, after, pages = Views(RunRepository(repository)), 0, 0
    while after is not None:
        page = await look(views, life.run_id, numbers=range(after, 5_000))
        assert room / 2 < len(msgspec.json.encode(page["node_executions"])) < room or pages
        after, pages = page["next_after"], pages + 1
        assert len(msgspec.json.encode(page["node_executions"])) < room
    assert pages > 8


async def test_an_output_that_no_page_has_room_for_is_named(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [1, "x" * 2_000, 2]
    life = await spread(repository, values, agent_output("y"), links="a.item > y.value")
    await life.write(RunCompleted(RunStats()))
    monkeypatch.setattr(request_limits, "OUTPUTS_PAGE_BYTES", 1_000)
    views = Views(RunRepository(repository))
    told = []
    for after in (0, 1, 2):
        page = await look(views, life.run_id, outputs_after=after)
        told.append((page["outputs"], page["omitted_outputs"], page["next_outputs"]))
    assert told == [({"y": [1]}, [], 1), ({}, ["y"], 2), ({"y": [2]}, [], None)]
