from __future__ import annotations

from domain.errors import GraphInvalid, Invalid
from domain.limits import graph_limits, value_limits

LONG = "x" * (value_limits.ERROR_CHARS_MAX + 1)
CUT = f"{LONG[:-2]}…"


def test_a_message_is_cut() -> None:
    error = Invalid(LONG)
    assert error.message == str(error) == CUT
    assert Invalid(CUT).message == CUT


def test_of_many_problems_the_first_are_told() -> None:
    most = graph_limits.GRAPH_ERRORS_MAX
    node_errors = {"a": {"x": LONG, "y": "short"}, "b": {str(n): "short" for n in range(most)}}
    refused = GraphInvalid(LONG, node_errors, [LONG] * (most + 1))
    assert refused.message == CUT
    assert refused.errors == [CUT] * most
    assert refused.node_errors["a"] == {"x": CUT, "y": "short"}
    assert list(refused.node_errors["b"]) == [str(n) for n in range(most - 2)]
