"""Large values in answers: by reference, and fetched alone."""

from __future__ import annotations

from typing import Any

import pytest

from blocks.text import TextProcessing
from domain import large_values
from domain.limits import value_limits
from domain.runs import NodeCompleted
from tests.api.runs.test_pages import SPREAD
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import agent_output, graph, items, node
from tests.support.written import CLAIM, WrittenRun, begun

LARGE = "x" * value_limits.VALUE_SHOWN_BYTES_MAX
"""With its quotes it is too large to be shown."""


async def yielded(still: Platform, run: WrittenRun, *values: Any) -> dict[str, bytes]:
    """Let the run's first node yield the values as a worker would; large ones by hash."""
    outputs = [("item", value) for value in values]
    hashes, taken = large_values.take_out(enumerate(values))
    await still.log.values.put(run.owner, list(taken.values()))
    kept = large_values.without(outputs, hashes)
    await run.append(CLAIM, NodeCompleted(0, run.node("a"), kept, 5, large=hashes))
    return taken


async def test_what_is_too_large_to_be_shown_is_fetched_alone(
    still: Platform, author: Caller
) -> None:
    run = await begun(still.log, author, await author.save(SPREAD))
    [(key, encoded)] = (await yielded(still, run, LARGE, 1)).items()
    page = await run.shown()
    reference = {"large_value": key}
    assert page["outputs"] == {"y": [reference, 1]}
    assert page["node_executions"][0]["output_data"] == {"item": [reference, 1]}
    given = [one["input_data"]["value"] for one in page["node_executions"][1:]]
    assert given == [reference, 1]
    assert page["large_values"] == {key: len(encoded)}
    answer = await author.get(f"/api/v1/values/{key}")
    assert answered(answer) == LARGE
    assert answer.content == encoded
    assert answer.headers["content-length"] == str(len(encoded))
    assert answer.headers["content-type"] == "application/json"


async def test_what_a_request_can_carry_is_shown_as_it_is(still: Platform, author: Caller) -> None:
    run = await begun(still.log, author, await author.save(SPREAD))
    await yielded(still, run, LARGE[2:])
    page = await run.shown()
    assert (page["outputs"], page["large_values"]) == ({"y": [LARGE[2:]]}, {})


async def test_what_looks_like_a_reference_is_none(still: Platform, author: Caller) -> None:
    run = await begun(still.log, author, await author.save(SPREAD))
    (key,) = await still.log.values.put(run.owner, [b"1"])
    await yielded(still, run, {"large_value": key})
    page = await run.shown()
    assert (page["outputs"], page["large_values"]) == ({"y": [{"large_value": key}]}, {})


async def test_a_value_that_a_node_looked_at_is_shown_as_it_came(
    still: Platform, author: Caller
) -> None:
    up = node("up", TextProcessing, operation="upper")
    document = graph(items("a", 1), up, agent_output("y"), links="a.item > up.text")
    run = await begun(still.log, author, await author.save(document))
    [(key, _)] = (await yielded(still, run, LARGE)).items()
    (given,) = (
        one["input_data"]
        for one in (await run.shown())["node_executions"]
        if one["node_id"] == run.node("up")
    )
    assert given["text"] == {"large_value": key}
    assert given["operation"] == "upper"


async def test_a_value_is_asked_for_once(still: Platform, author: Caller) -> None:
    (key,) = await still.log.values.put(str(author.user_id), [b"[1]"])
    path = f"/api/v1/values/{key}"
    first = await author.get(path)
    tag = first.headers["etag"]
    assert (first.content, tag) == (b"[1]", f'"{key}"')
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert first.headers["vary"] == "Authorization"
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await author.get(path, If_None_Match=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert answered(await author.get(path, If_None_Match='"other"')) == [1]
    stranger = await still.user()
    answered(await stranger.get(path, If_None_Match=tag), 404)


@pytest.mark.parametrize("key", ["x", "0" * 63, "0" * 65, "A" * 64, "\u0660" * 64])
async def test_what_is_no_hash_is_no_value(still: Platform, author: Caller, key: str) -> None:
    refused = answered(await author.get(f"/api/v1/values/{key}"), 404)
    assert refused["type"] == "not_found"


async def test_a_value_is_read_piece_by_piece(
    still: Platform, author: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_limits, "VALUE_PIECE_BYTES", 4)
    for encoded in (b"1", b'"ab"', b'"abcdef"', b'"abcdefg"'):
        (key,) = await still.log.values.put(str(author.user_id), [encoded])
        pieces = still.log.values.pieces(str(author.user_id), key, len(encoded))
        assert [piece async for piece in pieces] == [
            encoded[start : start + 4] for start in range(0, len(encoded), 4)
        ]
        assert (await author.get(f"/api/v1/values/{key}")).content == encoded
