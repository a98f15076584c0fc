"""What a user needs in order to be a nuisance: an account, and a tally of what it has done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx2

from benchmarks.load.installation import HOST
from benchmarks.neighbours import bad_answers
from blocks.contract import Block
from blocks.io import AgentInput
from blocks.logic import Calculator, StepThroughItems

Document = dict[str, Any]

PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.1
SHOWN = 250
"""Node executions that a look asks for: looking is not the attack."""


class Nuisance(NamedTuple):
    """A user of the installation at `port`. `service` is the address of a server of theirs."""

    http: httpx2.AsyncClient
    port: int
    user_id: str
    token: str
    service: str
    done: Counter[str]
    """What the attack has done so far, in words."""

    async def save(self, graph: Document) -> Document:
        """Save a graph; raises httpx2.HTTPStatusError when it is refused."""
        answer = await self.http.post("/graphs", json={"graph": graph})
        answer.raise_for_status()
        self.done["graphs stored"] += 1
        return dict(answer.json())

    async def save_again(self, model: Document, graph: Document) -> Document:
        """Save the next version of a graph, which has to succeed."""
        answer = await self.http.put(f"/graphs/{model['id']}", json=graph)
        return dict(answer.raise_for_status().json())

    async def start(self, model: Document, **members: Any) -> str | None:
        """Start a run of a graph and return its id, None when it is refused."""
        path = f"/graphs/{model['id']}/execute/{model['version']}"
        answer = await self.http.post(path, json=members)
        if answer.status_code != httpx2.codes.OK:
            self.done[f"starts refused with {answer.status_code}"] += 1
            return None
        self.done["runs started"] += 1
        return str(answer.json()["id"])

    async def run_over_and_over(
        self, model: Document, pause_seconds: float = 0.1, **members: Any
    ) -> None:
        """Start runs of a graph for ever, as many as are taken."""
        while True:
            await self.start(model, **members)
            await asyncio.sleep(pause_seconds)

    async def watch(
        self,
        model: Document,
        tally: Callable[[Document], Mapping[str, int]],
        **members: Any,
    ) -> Document:
        """Start a run and look at it until it has ended; `tally` says what its page shows of the
        attack.
        """
        run_id = await self.start(model, **members)
        while True:
            path = f"/graphs/{model['id']}/executions/{run_id}?limit={SHOWN}"
            page = (await self.http.get(path)).json()
            for name, count in tally(page).items():
                self.done[name] = max(self.done[name], count)
            if page["status"] in {"COMPLETED", "FAILED", "TERMINATED"}:
                return dict(page)
            await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def nuisance(port: int, token: str) -> AsyncIterator[Nuisance]:
    """Sign up, and serve bad answers inside the block."""
    done: Counter[str] = Counter()
    async with (
        bad_answers.served(done) as service,
        httpx2.AsyncClient(
            base_url=f"http://{HOST}:{port}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        ) as http,
    ):
        signed_up = (await http.post("/auth/user")).raise_for_status()
        yield Nuisance(http, port, signed_up.json()["id"], token, service, done)


async def over_and_over(act: Callable[[], Awaitable[object]], pause_seconds: float = 0.05) -> None:
    while True:
        await act()
        await asyncio.sleep(pause_seconds)


# --- graphs ---------------------------------------------------------------------------------
def graph(nodes: list[Document], *links: str) -> Document:
    """Of nodes, and of links written `node.pin > node.pin`."""
    return {
        "name": "nuisance",
        "description": "",
        "nodes": nodes,
        "links": [link(one) for one in links],
    }


def node(name: str, block: type[Block], /, **defaults: Any) -> Document:
    return {"id": name, "block_id": block.id, "input_default": defaults}


def each(items: list[Any]) -> Document:
    """A node that hands these on one after the other, so that what follows it runs for each."""
    return node("each", StepThroughItems, items=items)


def given(name: str) -> Document:
    """An input of the graph that whoever starts it gives."""
    return node(name, AgentInput, name=name)


def nothing_else() -> Document:
    """One node that only computes."""
    return graph([node("sum", Calculator, operation="Add", a=0, b=1)])


def link(line: str) -> Document:
    source, sink = line.split(" > ")
    source_id, _, source_name = source.partition(".")
    sink_id, _, sink_name = sink.partition(".")
    return {
        "source_id": source_id,
        "source_name": source_name,
        "sink_id": sink_id,
        "sink_name": sink_name,
    }
