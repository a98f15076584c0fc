"""LangGraph: the graph checkpointed in PostgreSQL, each step before the next one begins.

A saver lets only one of its callers in at a time, so every client has one of its own, with a
connection of its own.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.peers.task import Chain, Fan, RunOnce, Shape, Task, serve
from runtime import ids


class State(TypedDict):
    value: int
    values: Annotated[list[int], operator.add]
    """What nodes made that ran at the same time."""


@asynccontextmanager
async def peer(task: Task) -> AsyncIterator[RunOnce]:
    async with AsyncExitStack() as stack:
        savers = [
            await stack.enter_async_context(
                AsyncPostgresSaver.from_conn_string(task.database_url, pipeline=True)
            )
            for _ in range(task.clients)
        ]
        await _set_up(task.database_url)
        graphs = [_graph(task.shape).compile(checkpointer=saver) for saver in savers]

        async def run_once(client: int) -> int:
            thread = {"configurable": {"thread_id": str(ids.new_id())}}
            beginning = State(value=0, values=[])
            ended = await graphs[client].ainvoke(beginning, thread, durability="sync")
            result: int = ended["value"]
            return result

        yield run_once


async def _set_up(database_url: str) -> None:
    # It makes indexes concurrently, which nobody can in a pipeline.
    async with AsyncPostgresSaver.from_conn_string(database_url) as saver:
        await saver.setup()


def _graph(shape: Shape) -> Any:
    graph = StateGraph(State)
    match shape:
        case Chain(length):
            names = [f"node {place}" for place in range(length)]
            for name in names:
                graph.add_node(name, _add_one)
            for source, sink in zip([START, *names], [*names, END], strict=True):
                graph.add_edge(source, sink)
        case Fan(width):
            graph.add_node("source", _add_one)
            graph.add_node("sink", _add_up)
            names = [f"node {place}" for place in range(width)]
            for name in names:
                graph.add_node(name, _add_one_aside)
                graph.add_edge("source", name)
            graph.add_edge(START, "source")
            graph.add_edge(names, "sink")
            graph.add_edge("sink", END)
    return graph


async def _add_one(state: State) -> dict[str, int]:
    return {"value": state["value"] + 1}


async def _add_one_aside(state: State) -> dict[str, list[int]]:
    return {"values": [state["value"] + 1]}


async def _add_up(state: State) -> dict[str, int]:
    return {"value": sum(state["values"])}


if __name__ == "__main__":
    serve(peer)
