"""Installing blocks beside a running Evergraph, as a package of somebody else would."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from blocks.plugins import GROUP

ROOT = Path(__file__).parents[2]


def write_plugin(folder: Path, modules: Iterable[str], *, name: str = "example_blocks") -> None:
    """Make a folder look like one where a distribution was installed that brings these modules."""
    information = folder / f"{name}-1.dist-info"
    information.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n"
    entries = "".join(f"{module} = {module}\n" for module in modules)
    (information / "METADATA").write_text(metadata, encoding="utf-8")
    (information / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}", encoding="utf-8")


def plugin_path(folder: Path) -> str:
    """The PYTHONPATH of processes that shall find the plug-ins of a folder, and these tests."""
    return os.pathsep.join((str(folder), str(ROOT)))
