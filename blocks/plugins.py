"""Blocks of others: packages that are installed beside Evergraph and say that they bring some.

A package names its modules under the entry point group `evergraph.blocks`, for instance in its
`pyproject.toml`:

    [project.entry-points."evergraph.blocks"]
    weather = "acme_weather.blocks"

Every Block class that such a module, or a package with what it imports of itself, defines joins
the catalogue when a process starts, with the rights and duties of the built-in ones:
`blocks/contract.py` says which. A plug-in that cannot be imported, or that brings an id or a name
a second time, keeps Evergraph from starting. Its code runs with the rights of an executor.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points

GROUP = "evergraph.blocks"


def import_plugins() -> Iterator[str]:
    """Import the modules that installed packages name, and give their names, in their order.

    Raises ImportError, naming package and module, for one that cannot be imported.
    """
    named = {
        entry.value: entry.dist.name if entry.dist else "?" for entry in entry_points(group=GROUP)
    }
    for module, package in sorted(named.items()):
        try:
            import_module(module)
        except Exception as error:
            raise ImportError(
                f"The plug-in {module} of the package {package} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        yield module
