"""Which large values decide how a run goes on. The others need not be read to fold its events."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from domain.engine.plan import PlanLink
from domain.engine.run import Run
from domain.events import Event
from domain.runs import NodeCompleted, NodeFailed, Output, RunCreated


def looked_at(run: Run, happened: Event) -> AbstractSet[str]:
    """The hashes of those values of an event, which `run` has not folded yet, that are looked at.

    A value is, if a link takes a part of it, or if a node it arrives at has to know its type.
    """
    match happened:
        case RunCreated(large=large) if large:
            return {key for name, key in large.items() if _starts_seen(run, name)}
        case NodeCompleted(large=large) | NodeFailed(large=large) if large:
            return _delivered_seen(run, happened.execution, happened.outputs, large)
    return frozenset()


def _starts_seen(run: Run, name: str) -> bool:
    starting = (node for node in run.plan.starting if node.is_input)
    return any(n.defaults.get("name") == name and not n.takes_unseen("value") for n in starting)


def _delivered_seen(
    run: Run, number: int, outputs: list[Output], large: Mapping[int, str]
) -> set[str]:
    execution = run.executions[number]
    if execution.delivered:
        # What an earlier attempt had delivered is told apart by its values.
        return set(large.values())
    node = execution.node.node
    seen = set()
    for index, key in large.items():
        name = outputs[index][0]
        if any(_is_seen(link, name) for link in node.links_for(name)):
            seen.add(key)
    return seen


def _is_seen(link: PlanLink, name: str) -> bool:
    is_whole = name in {link.selector.whole, link.selector.addressed}
    return not is_whole or not link.sink.takes_unseen(link.sink_name)
