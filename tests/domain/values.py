"""Hypothesis strategies for JSON values as Evergraph admits them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from domain.limits import value_limits

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8
) | st.sampled_from(["", "true", "1", "5.5", "NaN", "inf", "-Infinity", "1e999", "[1]", "null"])

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-value_limits.JSON_INTEGER_MAX, value_limits.JSON_INTEGER_MAX),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)

_nested: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)

json_values: st.SearchStrategy[Any] = _nested | _nested.map(
    lambda value: msgspec.json.encode(value).decode()
)
"""Any JSON value, and often a text that holds one."""
