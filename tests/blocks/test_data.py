from __future__ import annotations

from typing import Any

import pytest

from blocks.data import AddToList, StoreValue
from tests.blocks.support import outputs_of


@pytest.mark.parametrize("data", [0, "", False, [], {}, None])
async def test_empty_data_falls_back_to_the_input(data: Any) -> None:
    assert await outputs_of(StoreValue(), {"input": "i", "data": data}) == [("output", "i")]


@pytest.mark.parametrize(
    ("position", "updated"),
    [
        (None, [1, 2, 3, 8, 9]),
        (0, [8, 9, 1, 2, 3]),
        (2, [1, 2, 8, 9, 3]),
        (-1, [1, 2, 8, 9, 3]),
        (99, [1, 2, 3, 8, 9]),
    ],
)
async def test_entries_are_added_at_a_position(position: int | None, updated: list[int]) -> None:
    data = {"list": [1, 2, 3], "entries": [8], "entry": 9, "position": position}
    assert await outputs_of(AddToList(), data) == [("updated_list", updated)]
    assert data["list"] == [1, 2, 3]


async def test_an_empty_entry_is_an_entry() -> None:
    entries: tuple[Any, ...] = (0, "", False, [])
    for entry in entries:
        assert await outputs_of(AddToList(), {"entry": entry}) == [("updated_list", [entry])]
    assert await outputs_of(AddToList(), {}) == [("updated_list", [])]
