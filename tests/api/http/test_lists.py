"""Lists without numbered pages: as much as one answer has room for, and where they go on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from domain.limits import request_limits, value_limits
from tests.support.api import Caller, answered
from tests.support.bounds import area_of
from tests.support.graphs import Document, echo

NEXT = re.compile(r'<(\?after=\d+)>; rel="next"')


async def pages(author: Caller, path: str) -> list[list[Document]]:
    """All of a list, by the links from each answer to the next."""
    found, query = [], ""
    while True:
        answer = await author.get(path + query)
        found.append(answered(answer))
        link = answer.headers.get("link")
        if link is None:
            return found
        match = NEXT.fullmatch(link)
        assert match is not None
        query = match[1]


async def versions_of(author: Caller, count: int, text: str) -> str:
    """The path of a new graph with so many versions."""
    document = {**echo(), "description": text}
    graph = await author.save(document)
    for _ in range(count - 1):
        answered(await author.put(graph.path, document))
    return graph.path


@pytest.mark.parametrize(("room", "sizes"), [(1, [1] * 5), (2_500, [2, 2, 1]), (20_000, [5])])
async def test_versions_come_until_the_answer_is_full(
    author: Caller, monkeypatch: pytest.MonkeyPatch, room: int, sizes: list[int]
) -> None:
    path = f"{await versions_of(author, 5, '')}/versions"
    assert 1_250 < len((await author.get(path)).content) / 5 < 2_500
    monkeypatch.setattr(request_limits, "LIST_PAGE_BYTES", room)
    found = await pages(author, path)
    assert [len(page) for page in found] == sizes
    assert [version["version"] for page in found for version in page] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("bounds", "sizes"),
    [
        ({"LIST_PAGE_BYTES": 1}, [1] * 5),
        ({"LIST_PAGE_BYTES": 2_500}, [2, 2, 1]),
        ({"GRAPHS_LISTED_MAX": 2}, [2, 2, 1]),
        ({"GRAPHS_LISTED_MAX": 5}, [5]),
        ({}, [5]),
    ],
)
async def test_graphs_come_until_the_answer_is_full(
    author: Caller, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, int], sizes: list[int]
) -> None:
    document = {**echo(), "description": "x" * 1_500}
    ids = [(await author.save(document)).graph_id for _ in range(5)]
    await author.read("/api/v1/graphs")
    for name, bound in bounds.items():
        monkeypatch.setattr(area_of(name), name, bound)
    found = await pages(author, "/api/v1/graphs")
    assert [len(page) for page in found] == sizes
    assert [graph["id"] for page in found for graph in page] == ids[::-1]


@pytest.mark.parametrize("path", ["/api/v1/graphs", "versions"])
async def test_a_list_ends_behind_its_last(author: Caller, path: str) -> None:
    whole = await versions_of(author, 1, "")
    path = f"{whole}/versions" if path == "versions" else path
    for after in (1, value_limits.JSON_INTEGER_MAX):
        answer = await author.get(f"{path}?after={after}")
        assert (answered(answer), "link" in answer.headers) == ([], False)
    for after in (-1, value_limits.JSON_INTEGER_MAX + 1):
        refused: Any = answered(await author.get(f"{path}?after={after}"), 400)
        assert refused["message"] == "after must be a whole number from 0"
