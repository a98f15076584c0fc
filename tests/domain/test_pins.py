from __future__ import annotations

import copy
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.engine.pins import (
    PinError,
    Target,
    base_pin,
    compile_selector,
    compile_target,
    merge_dynamic,
)
from domain.limits import graph_limits, value_limits
from tests.domain.values import json_values

NOTHING = (False, None)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("out", "out"),
        ("out_#_key", "out"),
        ("out_$_0_#_key", "out"),
        ("out_@_name", "out"),
        ("my_out_value", "my_out_value"),
        ("out__#_key", "out_"),
        ("_#_key", ""),
        ("tools", "tools"),
        ("tools_^_node_~_field", "tools"),
        ("tools_^_node", "tools_^_node"),
    ],
)
def test_base_pin(name: str, base: str) -> None:
    assert base_pin(name) == base


@pytest.mark.parametrize(
    ("source_name", "name", "value", "expected"),
    [
        ("out", "out", 5, (True, 5)),
        ("out", "out", None, (True, None)),
        ("out", "other", 5, NOTHING),
        ("out", "out_#_key", 5, NOTHING),
        ("out_#_key", "out", {"key": 5}, (True, 5)),
        ("out_#_key", "out", {"key": 0}, (True, 0)),
        ("out_#_key", "out", {"key": None}, NOTHING),
        ("out_#_key", "out", {"other": 5}, NOTHING),
        ("out_#_0", "out", [5], NOTHING),
        ("out_#_key", "out_#_key", None, (True, None)),
        ("out_@_key", "out", {"key": 5}, (True, 5)),
        ("out_$_0", "out", [5, 6], (True, 5)),
        ("out_$_-1", "out", [5, 6], (True, 6)),
        ("out_$_-2", "out", [5, 6], (True, 5)),
        ("out_$_-3", "out", [5, 6], NOTHING),
        ("out_$_2", "out", [5, 6], NOTHING),
        ("out_$_0", "out", "text", NOTHING),
        ("out_$_0", "out", {"0": 5}, NOTHING),
        ("out_$_x", "out", [5], NOTHING),
        ("out_$_99999999999999999999", "out", [5], NOTHING),
        ("out_#_a_$_0", "out", {"a": [5]}, (True, 5)),
        ("out_$_1_#_b_@_c", "out", [0, {"b": {"c": 5}}], (True, 5)),
        ("out_#_a_$_0", "out", {"a": 5}, NOTHING),
        ("out_#_", "out", {"": 5}, NOTHING),
        ("out_#_my_key", "out", {"my_key": 5}, (True, 5)),
    ],
)
def test_selection(source_name: str, name: str, value: Any, expected: tuple[bool, Any]) -> None:
    selector = compile_selector(source_name)
    assert selector.emitted == "out"
    assert selector.select(name, value) == expected


@pytest.mark.parametrize(
    ("source_name", "name", "value", "expected"),
    [
        ("tools", "tools", {"any": 1}, (True, {"any": 1})),
        ("tools", "tools", None, (True, None)),
        ("tools", "tools_^_sink_~_text", 5, (True, 5)),
        ("tools", "tools_^_sink_~_text", None, NOTHING),
        ("tools", "tools_^_sink_~_other", 5, NOTHING),
        ("tools", "tools_^_neighbour_~_text", 5, NOTHING),
        ("tools_#_any", "tools", {"any": 1}, (True, 1)),
        ("tools_^_search_~_text", "tools_^_sink_~_text", 5, (True, 5)),
        ("tools_^_search_~_text", "tools_^_sink_~_text", None, NOTHING),
        ("tools_^_search_~_text", "tools_^_search_~_text", 5, NOTHING),
        ("tools_^_search_~_text", "tools", 5, NOTHING),
        ("tools_^_sink_~_text", "tools_^_sink_~_text", None, (True, None)),
    ],
)
def test_a_tool_pin_is_delivered_to_the_sink_that_it_names(
    source_name: str, name: str, value: Any, expected: tuple[bool, Any]
) -> None:
    selector = compile_selector(source_name, sink_id="sink", sink_name="text")
    assert selector.emitted == "tools"
    assert selector.select(name, value) == expected


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("values", Target("values")),
        ("values_#_a", Target("values", ("a",))),
        ("values_@_a_$_2", Target("values", ("a", 2))),
        ("values_#_", Target("values_#_")),
        ("values_#_a_$_", Target("values_#_a_$_")),
        ("values_#__$_1", Target("values_#__$_1")),
        ("_#_a", Target("_#_a")),
    ],
)
def test_targets(name: str, target: Target) -> None:
    assert compile_target(name) == target


@pytest.mark.parametrize(
    "name",
    ["list_$_x", "list_$_-1", "list_$_1.0", "list_$_ 1", "list_$_٣", "list_$_99999999999999999999"],
)
def test_a_bad_list_index_is_named(name: str) -> None:
    with pytest.raises(PinError, match="is not a list index") as failure:
        merge_dynamic({name: 1})
    assert failure.value.pin == name


def test_a_long_name_is_not_kept() -> None:
    name = "x" * (value_limits.NAME_CHARS_MAX + 1)
    assert compile_target(name) == Target(name)
    assert compile_target(name) is not compile_target(name)


def test_padding_and_path_length_are_bounded() -> None:
    merged = merge_dynamic({f"list_$_{graph_limits.LIST_PAD_MAX}": 1})
    assert len(merged["list"]) == graph_limits.LIST_PAD_MAX + 1
    with pytest.raises(PinError, match=f"from 0 to {graph_limits.LIST_PAD_MAX}"):
        merge_dynamic({f"list_$_{graph_limits.LIST_PAD_MAX + 1}": 1})
    with pytest.raises(PinError, match=f"at most {value_limits.NAME_CHARS_MAX} characters"):
        merge_dynamic({"a" + "_#_b" * value_limits.NAME_CHARS_MAX: 1})


@pytest.mark.parametrize(
    "data",
    [
        {f"data_$_{i}_$_1000": 1 for i in range(20)},
        {f"list_{i}_$_1000": 1 for i in range(20)},
        {f"d_$_{i}" + "_$_1000" * 60: 1 for i in range(700)},
    ],
)
def test_padding_is_bounded_over_all_pins(data: dict[str, Any]) -> None:
    with pytest.raises(PinError, match=f"more than {graph_limits.PATH_ITEMS_MAX} items") as failure:
        merge_dynamic(data)
    assert failure.value.pin in data


@pytest.mark.parametrize("step", ["$_0", "#_a"])
def test_copies_and_conversions_are_bounded_over_all_pins(step: str) -> None:
    shared = [0] * (graph_limits.PATH_ITEMS_MAX // 10 - 1)
    values = {f"p{i}": shared for i in range(11)}
    assert len(merge_dynamic({**values, f"p0_{step}": 1})) == 12
    with pytest.raises(PinError, match="items") as failure:
        merge_dynamic({**values, **{f"p{i}_{step}": 1 for i in range(11)}})
    assert failure.value.pin == f"p10_{step}"


def test_each_step_of_a_path_counts() -> None:
    deep = {f"list_#_{i}" + "_#_x" * 59: 1 for i in range(graph_limits.PATH_ITEMS_MAX // 60)}
    assert len(merge_dynamic(deep)["list"]) == len(deep)
    with pytest.raises(PinError, match="items") as failure:
        merge_dynamic({**deep, **{f"more_#_{i}" + "_#_x" * 59: 1 for i in range(2)}})
    assert failure.value.pin.startswith("more")


def test_what_is_built_is_nested_no_deeper_than_json() -> None:
    deepest = "d" + "_#_a" * value_limits.JSON_DEPTH_MAX
    merge_dynamic({deepest: 1})
    with pytest.raises(PinError, match=f"at most {value_limits.JSON_DEPTH_MAX} levels deep"):
        merge_dynamic({f"{deepest}_$_0": 1})
    same_place = ["_" + "_x_".join(way) + "_x" for way in product("#@", repeat=7)]
    back_and_forth = {f"d{way}_{step}_0": 1 for way in same_place for step in "#$"}
    with pytest.raises(PinError, match="turn objects into lists too often"):
        merge_dynamic(back_and_forth)


@pytest.mark.parametrize(
    ("data", "built"),
    [
        ({"d_#_a": 1, "d_#_b": 2}, {"d": {"a": 1, "b": 2}}),
        ({"d": {"z": 0}, "d_#_a": 1}, {"d": {"z": 0, "a": 1}}),
        ({"d": {"a": 0}, "d_#_a": 1}, {"d": {"a": 1}}),
        ({"d_#_a": 1, "d": {"z": 0}}, {"d": {"z": 0}}),
        ({"d": None, "d_#_a": 1}, {"d": {"a": 1}}),
        ({"d": 5, "d_#_a": 1}, {"d": {"a": 1}}),
        ({"d": [7], "d_#_a": 1}, {"d": {"0": 7, "a": 1}}),
        ({"l_$_2": 1}, {"l": [None, None, 1]}),
        ({"l": [7], "l_$_2": 1}, {"l": [7, None, 1]}),
        ({"l": [7, 8], "l_$_0": 1}, {"l": [1, 8]}),
        ({"l": "text", "l_$_0": 1}, {"l": [1]}),
        ({"l": {"k": 7}, "l_$_1": 1}, {"l": [["k", 7], 1]}),
        ({"o_@_a": 1}, {"o": {"a": 1}}),
        ({"d_#_a_$_1_#_b": 1, "d_#_a_$_0": 2}, {"d": {"a": [2, {"b": 1}]}}),
        ({"d_#_a": None}, {"d": {"a": None}}),
        ({"d_#_": 1}, {}),
        ({"d_#_": 1, "d_#_a": 2}, {"d": {"a": 2}}),
    ],
)
def test_merging(data: dict[str, Any], built: dict[str, Any]) -> None:
    assert merge_dynamic(data) == {**data, **built}


def test_a_base_takes_the_place_of_its_first_part() -> None:
    merged = merge_dynamic({"x": 1, "d_#_a": 2, "y": 3, "d_#_b": 4})
    assert list(merged) == ["x", "d_#_a", "d", "y", "d_#_b"]


def test_a_value_that_arrived_is_extended_in_a_copy() -> None:
    arrived = {"inner": [1]}
    data = {"d_#_a": arrived, "d_#_a_#_inner_$_1": 2, "e": arrived}
    merged = merge_dynamic(data)
    assert merged["d"] == {"a": {"inner": [1, 2]}}
    assert merged["d_#_a"] is merged["e"] is arrived
    assert arrived == {"inner": [1]}


names = st.sampled_from(
    ["p", "q", "p_#_a", "p_#_b", "p_$_0", "p_$_2", "p_#_a_#_c", "p_#_a_$_1", "p_$_0_@_a", "p_#_"]
)


@given(st.dictionaries(names, json_values))
def test_merging_keeps_every_given_name_and_changes_no_argument(data: dict[str, Any]) -> None:
    before = copy.deepcopy(data)
    merged = merge_dynamic(data)
    assert data == before
    assert merged.keys() == data.keys() | {base_pin(name) for name in data if name != "p_#_"}
    assert {name: merged[name] for name in data if name != "p"} == {
        name: value for name, value in data.items() if name != "p"
    }


@given(st.dictionaries(st.sampled_from(["p", "q", "long_name"]), json_values))
def test_without_paths_the_argument_is_returned(data: dict[str, Any]) -> None:
    assert merge_dynamic(data) is data


@given(
    json_values,
    st.lists(st.sampled_from(["_#_a", "_#_b_c", "_$_0", "_$_3", "_@_d"]), min_size=1),
    json_values,
)
def test_what_a_target_stores_a_selector_of_the_same_path_finds(
    default: Any, path: list[str], value: Any
) -> None:
    name = "pin" + "".join(path)
    merged = merge_dynamic({"pin": default, name: value})
    assert compile_selector(name).select("pin", merged["pin"]) == (value is not None, value)
