from __future__ import annotations

from typing import Any

import pytest

from blocks.catalogue import CATALOGUE
from blocks.io import AgentInput
from blocks.web import SendWebRequest
from tests.support.api import Caller

SEED = {
    *("id", "type", "category", "name", "description", "input_schema", "output_schema"),
    *("static_output", "block_costs", "disabled", "test_input", "test_output", "test_mock"),
    "costs",
}
BLOCK_INFO = {
    *("id", "name", "inputSchema", "outputSchema", "costs", "description", "categories"),
    *("contributors", "staticOutput", "uiType"),
}


@pytest.fixture
async def listed(user: Caller) -> dict[str, dict[str, Any]]:
    return {block["id"]: block for block in await user.read("/api/v1/blocks")}


async def test_every_block_is_listed_in_both_shapes(listed: dict[str, dict[str, Any]]) -> None:
    assert list(listed) == list(CATALOGUE)
    for block in listed.values():
        assert block.keys() == SEED | BLOCK_INFO
        assert block["name"].endswith("Block")
        assert block["inputSchema"] == block["input_schema"]
        assert block["outputSchema"] == block["output_schema"]
        assert block["costs"] == block["block_costs"]
        assert (block["staticOutput"], block["uiType"]) == (block["static_output"], block["type"])
        assert "error" in block["outputSchema"]["properties"]
        assert block["category"] in [entry["category"] for entry in block["categories"]]


async def test_pins_are_described_by_their_schemas(listed: dict[str, dict[str, Any]]) -> None:
    schema = listed[AgentInput.id]["inputSchema"]
    assert (schema["type"], schema["required"]) == ("object", ["name"])
    for pin in schema["properties"].values():
        assert {"title", "advanced", "secret"} <= pin.keys()
    assert schema["properties"]["name"]["type"] == "string"
    assert (listed[AgentInput.id]["uiType"], listed[AgentInput.id]["staticOutput"]) == (
        "Input",
        True,
    )


async def test_a_price_is_told(listed: dict[str, dict[str, Any]]) -> None:
    (cost,) = listed[SendWebRequest.id]["costs"]
    assert cost == {"cost_amount": 1, "cost_type": "run", "cost_filter": {}, "cost_divisor": 1}


async def test_both_paths_list_the_same(user: Caller) -> None:
    assert await user.read("/api/blocks") == await user.read("/api/v1/blocks")
