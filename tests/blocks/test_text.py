from __future__ import annotations

import pytest

from blocks.contract import BlockFailure
from blocks.text import CombineTexts, FillTextTemplate, TextProcessing
from domain.limits import run_limits
from tests.blocks.support import outputs_of


async def test_a_template_is_filled() -> None:
    data = {"values": {"a": {"b": [1, 2]}, "c": "<x>"}, "format": "{{ a.b[1] }} {{ c }}"}
    assert await outputs_of(FillTextTemplate(), data) == [("output", "2 <x>")]
    escaped = await outputs_of(FillTextTemplate(), {**data, "escape_html": True})
    assert escaped == [("output", "2 &lt;x&gt;")]


async def test_a_missing_value_is_named() -> None:
    with pytest.raises(BlockFailure, match="'name' is undefined"):
        await outputs_of(FillTextTemplate(), {"values": {}, "format": "Dear {{ name }}"})


async def test_texts_are_combined() -> None:
    assert await outputs_of(CombineTexts(), {"input": ["a", "", "b"]}) == [("output", "ab")]
    assert await outputs_of(CombineTexts(), {"input": []}) == [("output", "")]


async def test_a_few_texts_do_not_combine_to_a_giant() -> None:
    delimiter = "x" * (run_limits.NODE_OUTPUT_BYTES_MAX // 2)
    with pytest.raises(BlockFailure, match="too long"):
        await outputs_of(CombineTexts(), {"input": ["a"] * 1000, "delimiter": delimiter})


@pytest.mark.parametrize(
    ("operation", "text", "processed"),
    [("upper", "stra\u00dfe", "STRASSE"), ("LOWER", "ABC", "abc"), ("Reverse", "abc", "cba")],
)
async def test_a_text_is_processed(operation: str, text: str, processed: str) -> None:
    data = {"text": text, "operation": operation}
    outputs = dict(await outputs_of(TextProcessing(), data))
    assert outputs["processed_text"] == processed
    assert outputs["metadata"] == {
        "original_length": len(text),
        "processed_length": len(processed),
        "operation": operation.lower(),
        "timestamp": "2026-01-01T00:00:00+00:00",
    }
    assert outputs["result"] == {"processed_text": processed, "metadata": outputs["metadata"]}


async def test_words_are_counted() -> None:
    data = {"text": " one  two\nthree ", "operation": "word_count"}
    assert await outputs_of(TextProcessing(), data) == [("word_count", {"count": 3})]


async def test_an_unknown_operation_is_a_failure() -> None:
    with pytest.raises(BlockFailure, match=r"^Unsupported operation: shuffle$"):
        await outputs_of(TextProcessing(), {"text": "a", "operation": "Shuffle"})
