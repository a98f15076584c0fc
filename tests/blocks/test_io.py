from __future__ import annotations

from typing import Any

from blocks.io import AgentInput, AgentOutput
from tests.blocks.support import outputs_of


async def test_an_input_yields_any_value_but_null() -> None:
    values: tuple[Any, ...] = (0, "", False, [], {})
    for value in values:
        assert await outputs_of(AgentInput(), {"name": "a", "value": value}) == [("result", value)]
    assert await outputs_of(AgentInput(), {"name": "a"}) == []


async def test_an_output_without_format_yields_value_and_name() -> None:
    given = {"name": "report", "value": {"a": [1]}}
    assert await outputs_of(AgentOutput(), given) == [("output", {"a": [1]}), ("name", "report")]


async def test_an_output_with_format_yields_only_the_text() -> None:
    given = {"name": "who", "value": "<Ada>", "format": "Hello {{ who }}"}
    assert await outputs_of(AgentOutput(), given) == [("output", "Hello <Ada>")]
    escaped = await outputs_of(AgentOutput(), {**given, "escape_html": True})
    assert escaped == [("output", "Hello &lt;Ada&gt;")]


async def test_a_wrong_format_yields_its_error_as_text() -> None:
    given = {"name": "who", "value": "Ada", "format": "Hello {{ whom }}"}
    assert await outputs_of(AgentOutput(), given) == [("output", "Error: 'whom' is undefined")]
