from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.json_values import (
    NON_FINITE_TEXTS,
    check_json,
    check_text,
    finite_or_text,
    has_repeats,
    places,
    weight,
)
from domain.limits import value_limits
from tests.domain.values import json_values


def nested(depth: int, inner: Any = None) -> Any:
    value = inner
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return value


@given(json_values)
def test_every_json_value_passes(value: Any) -> None:
    check_json(value, "value")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("a\x00b", "x must not contain the character U+0000"),
        ({"a\x00": 1}, "x must not contain the character U+0000"),
        ([{"a": ["\ud800"]}], "x must not contain half of a surrogate pair"),
        ({"é\udfff": 1}, "x must not contain half of a surrogate pair"),
        (math.nan, "x must not contain a number that is not finite"),
        ([-math.inf], "x must not contain a number that is not finite"),
        (2**63, "x must not contain a whole number beyond 2^63 - 1"),
        (-(2**63), "x must not contain a whole number beyond 2^63 - 1"),
        ((1, 2), "x must be JSON: tuple is not"),
        ([b"bytes"], "x must be JSON: bytes is not"),
        ({1: "one"}, "x must be JSON: the keys of an object are text"),
    ],
)
def test_what_is_not_json_is_refused(value: Any, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_json(value, "x")
    assert refusal.value.message == message


def test_depth_is_bounded_for_empty_and_full_containers() -> None:
    check_json(nested(value_limits.JSON_DEPTH_MAX, "leaf"), "x")
    check_json(nested(value_limits.JSON_DEPTH_MAX - 1, []), "x")
    for value in (nested(value_limits.JSON_DEPTH_MAX + 1), nested(value_limits.JSON_DEPTH_MAX, {})):
        with pytest.raises(Invalid, match=f"x is nested deeper than {value_limits.JSON_DEPTH_MAX}"):
            check_json(value, "x")


def test_a_value_deeper_than_the_stack_is_refused_and_not_followed() -> None:
    with pytest.raises(Invalid, match="nested deeper"):
        check_json(nested(100_000), "x")


def is_json(value: Any, room: int) -> bool:
    """The definition, recursively: `room` is how many containers may still be entered."""
    match value:
        case list():
            return room > 0 and all(is_json(item, room - 1) for item in value)
        case dict():
            return room > 0 and all(
                isinstance(key, str) and is_json(key, room) and is_json(item, room - 1)
                for key, item in value.items()
            )
        case str():
            return "\x00" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)
        case float():
            return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) <= value_limits.JSON_INTEGER_MAX)


wild_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=3)
)
wild_values: st.SearchStrategy[Any] = st.recursive(
    wild_scalars | st.sampled_from(["\ud800", "\x00", 2**63, b"", ()]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3),
    ),
    max_leaves=6,
)


@given(
    wild_values, st.sampled_from([0, value_limits.JSON_DEPTH_MAX - 2, value_limits.JSON_DEPTH_MAX])
)
def test_check_agrees_with_the_recursive_definition(value: Any, depth: int) -> None:
    wrapped = nested(depth, value)
    if is_json(wrapped, value_limits.JSON_DEPTH_MAX):
        check_json(wrapped, "x")
        assert json.loads(json.dumps(wrapped, allow_nan=False)) == wrapped
    else:
        with pytest.raises(Invalid):
            check_json(wrapped, "x")


def test_text_is_checked_by_itself() -> None:
    check_text("naïve 图 🙂", "x")
    with pytest.raises(Invalid, match="x must not contain half of a surrogate pair"):
        check_text("\udc80", "x")


@given(st.floats())
def test_a_float_is_itself_or_one_of_three_texts(number: float) -> None:
    written = finite_or_text(number)
    if math.isfinite(number):
        assert written is number
    else:
        assert written in NON_FINITE_TEXTS
        assert repr(float(written)) == repr(abs(number) if math.isnan(number) else number)


texts = st.text('a,[{"\\\u56fe', max_size=6)
textual_values = st.recursive(
    texts | st.none() | st.integers(-5, 5),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@given(textual_values)
def test_a_text_has_no_more_values_than_places(value: Any) -> None:
    assert count(value) <= places(msgspec.json.encode(value)) + 1


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        *((b"1", 0), (b"[]", 1), (b"[1,2]", 2), (b'{"a":1,"b":[]}', 3), (b"[[],[]]", 4)),
        *((b'"[,{"', 0), (b'["\\",[",1]', 2), (b'["\\\\",[]]', 3), (b'["\\\\\\",",1]', 2)),
    ],
)
def test_places_are_counted_outside_of_texts(encoded: bytes, expected: int) -> None:
    assert places(encoded) == expected


Written = tuple[str, bool]
"""A JSON text, and whether an object in it has two members of one name."""


def written_list(items: list[Written], blank: str) -> Written:
    text = f"{blank},".join(item for item, _ in items)
    return f"[{text}{blank}]", any(repeats for _, repeats in items)


def spelled(text: str, way: int) -> str:
    quoted = json.dumps(text, ensure_ascii=way % 2 == 0)
    return quoted.replace(":", "\\u003a") if way % 3 == 0 else quoted


def written_object(members: list[tuple[str, Written]], blank: str) -> Written:
    """Names are written now as they are and now by their codes."""
    quoted = [spelled(name, n) for n, (name, _) in enumerate(members)]
    pairs = zip(quoted, members, strict=True)
    text = ",".join(f"{name}{blank}:{blank}{inner}" for name, (_, (inner, _)) in pairs)
    names = [name for name, _ in members]
    inner = any(repeats for _, (_, repeats) in members)
    return f"{{{text}}}", inner or len(set(names)) < len(names)


marks = st.text(':,[{}"\\\u56fe', max_size=3)
blanks = st.sampled_from(["", " ", "\n\t"])
written = st.recursive(
    st.one_of(
        st.builds(lambda text, way: (spelled(text, way), False), marks, st.integers(0, 5)),
        st.integers(-5, 5).map(lambda number: (str(number), False)),
    ),
    lambda inner: st.one_of(
        st.builds(written_list, st.lists(inner), blanks),
        st.builds(written_object, st.lists(st.tuples(marks, inner)), blanks),
    ),
    max_leaves=12,
)


@given(written)
@example(('{"a":1,"a":2,"b":"\\u003a"}', True))
@example(('{"a":1,"b":"\\u003A"}', False))
def test_two_members_of_one_name_are_found(written: Written) -> None:
    text, repeats = written
    encoded = text.encode()
    assert has_repeats(encoded, msgspec.json.decode(encoded)) is repeats


@pytest.mark.parametrize(
    "element",
    [
        *("[]", "[0]", "{}", '{"":0}', '{"a":{}}', "0.5", "123456789", '"ab"', '"\u00e9\u4e2d"'),
        *('"\U0001f600abcdefghijkl"', '{"a":1,"b":2}', "[[]]"),
    ],
)
def test_a_value_takes_about_as_much_memory_as_it_weighs(element: str) -> None:
    encoded = f"[{','.join([element] * 20_000)}]".encode()
    tracemalloc.start()
    try:
        value = msgspec.json.decode(encoded)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(value) == 20_000
    # A list or object that may be part of a cycle has 16 bytes more, which are not traced.
    assert 0.9 * taken < weight(encoded) < 8 * taken
