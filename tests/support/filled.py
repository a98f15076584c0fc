"""Values of any event type with every field set, and none at its default."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

from msgspec import inspect

from domain.events import Event

_numbers = count(1)


def filled(cls: type[Event]) -> Event:
    """An event of which each field differs from its default."""
    return _struct(inspect.type_info(cls))  # type: ignore[no-any-return]


def _struct(info: inspect.Type) -> Any:
    assert isinstance(info, inspect.StructType)
    values: dict[str, Any] = {}
    for field in info.fields:
        value = _value(field.type)
        if value == field.default:
            value = not value
            assert isinstance(value, bool), f"{info.cls.__name__}.{field.name} is at its default"
        values[field.name] = value
    return info.cls(**values)


_SCALARS: dict[type[inspect.Type], Callable[[], Any]] = {
    inspect.BoolType: lambda: True,
    inspect.IntType: lambda: next(_numbers),
    inspect.FloatType: lambda: next(_numbers) + 0.5,
    inspect.StrType: lambda: f"text {next(_numbers)} \u2713",
    inspect.DateTimeType: lambda: datetime(2026, 1, 1, microsecond=next(_numbers), tzinfo=UTC),
    inspect.AnyType: lambda: {"nested": [next(_numbers), {"deep": None}], "text": "\u2713"},
}


def _value(info: inspect.Type) -> Any:  # noqa: PLR0911 - one a kind
    scalar = _SCALARS.get(type(info))
    if scalar is not None:
        return scalar()
    match info:
        case inspect.EnumType(cls=cls):
            return list(cls)[-1]
        case inspect.ListType(item_type=item):
            return [_value(item), _value(item)]
        case inspect.VarTupleType(item_type=item):
            return (_value(item), _value(item))
        case inspect.TupleType(item_types=items):
            return tuple(map(_value, items))
        case inspect.DictType(key_type=key, value_type=value):
            return {_value(key): _value(value), _value(key): _value(value)}
        case inspect.StructType():
            return _struct(info)
        case inspect.UnionType(types=types):
            return _value(next(one for one in types if not isinstance(one, inspect.NoneType)))
        case _:
            raise AssertionError(f"no value is known for {info}")
