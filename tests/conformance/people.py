"""Who uses an installation, and what they say to their runs."""

from __future__ import annotations

from typing import Any

from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from tests.support.api import Caller, Outcome, Platform, Saved, answered, eventually
from tests.support.credits import grant
from tests.support.graphs import Document


async def poor(installation: Platform, amount: int) -> Caller:
    """Somebody with this many credits."""
    caller = installation.caller()
    await give(installation, caller, amount)
    return caller


async def give(installation: Platform, user: Caller, amount: int) -> None:
    """Let somebody have so many credits more."""
    context = CommandContext(owner=str(user.user_id), actor="test")
    await grant(Repository(installation.log), context, amount=amount, reason="test")


async def credits_of(user: Caller) -> int:
    shown: int = (await user.read("/api/v1/credits"))["credits"]
    return shown


async def asked(user: Caller, graph: Saved, run_id: str, count: int = 1) -> list[Document]:
    """Wait until the run is suspended with this many questions, and return them."""
    await user.until(graph, run_id, lambda run: run.status == "REVIEW")

    async def listed() -> list[Document] | None:
        questions: list[Document] = await user.read(f"/api/review/execution/{run_id}")
        return questions if len(questions) == count else None

    found: list[Document] = await eventually(listed)
    return found


async def decide(user: Caller, question: Document, *, approved: bool, **words: Any) -> None:
    """Answer a question, which has to succeed."""
    review = {"node_exec_id": question["node_exec_id"], "approved": approved, **words}
    answered(await user.post("/api/review/action", {"reviews": [review]}))


async def reviewed(user: Caller, document: Document, *, approved: bool, **words: Any) -> Outcome:
    """Run a graph that asks once, and answer like this."""
    graph = await user.save(document, source="upload")
    run_id = await user.start(graph)
    (question,) = await asked(user, graph, run_id)
    await decide(user, question, approved=approved, **words)
    return await user.ended(graph, run_id)


async def with_settings(user: Caller, graph: Saved, **settings: bool) -> None:
    """Let new runs of the graph behave like this."""
    answered(await user.request("PATCH", f"{graph.path}/settings", settings))
