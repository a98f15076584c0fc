"""The demo: a user, an agent and a run, through the same doors that every client uses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from importlib import resources
from typing import Any

import httpx2
from websockets.asyncio.client import connect

from evergraph import address, console, greeting, tokens
from evergraph.console import say
from runtime.settings import Settings

NAME = "Demo"
SAMPLE = "sample_agent.json"
ANSWER_SECONDS_MAX = 30.0
LINE_CHARS_MAX = 70

Message = dict[str, Any]


class DemoError(Exception):
    """The API refused something or did not answer."""


async def play(settings: Settings) -> None:
    """Create the demo user, load the sample agent unless it is there, run it and tell how it goes.

    Raises DemoError.
    """
    token = tokens.token_for(settings, tokens.DEMO_EMAIL, name=NAME)
    async with httpx2.AsyncClient(
        base_url=f"{address.base_url(settings)}/api/v1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=ANSWER_SECONDS_MAX,
    ) as api:
        user = await _ask(api, "POST", "/auth/user")
        graph = await _sample(api)
        say(f"Running the agent {graph['name']} of {user['email']}: {graph['description']}")
        run = await _ask(api, "POST", f"/graphs/{graph['id']}/execute/{graph['version']}", {})
    names = {node["id"]: _label(node) for node in graph["nodes"]}
    async for message in _messages(settings, user["id"], token, run["id"]):
        _tell(message, names)
    say(
        greeting.watching(
            settings, user["id"], graph["id"], run["id"], at_terminal=console.is_terminal()
        )
    )


async def _sample(api: httpx2.AsyncClient) -> Message:
    sample: Message = json.loads((resources.files("evergraph") / SAMPLE).read_text("utf-8"))
    for graph in await _ask(api, "GET", "/graphs"):
        if graph["name"] == sample["name"]:
            found: Message = await _ask(api, "GET", f"/graphs/{graph['id']}")
            return found
    created: Message = await _ask(api, "POST", "/graphs", {"graph": sample, "source": "upload"})
    return created


async def _ask(api: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    try:
        answer = await api.request(method, path, json=body)
    except httpx2.HTTPError as error:
        raise DemoError(f"{method} {path}: {error!r}") from error
    if answer.is_error:
        raise DemoError(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json()


async def _messages(
    settings: Settings, user_id: str, token: str, run_id: str
) -> AsyncIterator[Message]:
    """What the live feed says about the run, up to its end."""
    base = address.base_url(settings).replace("http", "ws", 1)
    async with connect(f"{base}/ws/{user_id}?token={token}", proxy=None) as socket:
        await socket.send(json.dumps({"type": "subscribe_execution", "execution_id": run_id}))
        async for text in socket:
            message: Message = json.loads(text)
            yield message
            if message["type"] in {"execution_completed", "execution_failed", "error"}:
                return


def _tell(message: Message, names: Mapping[str, str]) -> None:
    match message["type"]:
        case "execution_started":
            say(f"  started    {message['execution_id']}")
        case "execution_progress" if message["progress"].get("node_id"):
            progress = message["progress"]
            yielded = json.dumps(progress.get("output_data") or {}, ensure_ascii=False)
            name = names[progress["node_id"]]
            say(f"  {progress['status'].lower():<10} {name:<10} {_shortened(yielded)}")
        case "execution_completed":
            say(f"  completed  {json.dumps(message['result'], ensure_ascii=False)}")
        case "execution_failed":
            say(f"  failed     {message['error']}")
        case "error":
            raise DemoError(message["message"])


def _shortened(text: str) -> str:
    return text if len(text) <= LINE_CHARS_MAX else f"{text[:LINE_CHARS_MAX]} …"


def _label(node: Message) -> str:
    """What a person would call the node: its name in the agent, or its id's first letters."""
    return str(
        node["input_default"].get("name") or node["metadata"].get("customized_name", node["id"][:8])
    )
