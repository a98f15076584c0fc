"""Where a bound lives, for tests that change one by its name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

from domain import limits

_AREAS = [
    import_module(f"{limits.__name__}.{area.name}")
    for area in pkgutil.iter_modules(limits.__path__)
]


def area_of(name: str) -> ModuleType:
    """The module of `domain/limits/` that has the bound of this name. Raises AssertionError."""
    (area,) = [area for area in _AREAS if hasattr(area, name)]
    return area
