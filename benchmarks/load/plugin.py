"""Makes the modules of this benchmark known to an installation, as a package of others would."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.load import noop, resolver
from blocks.plugins import GROUP

ROOT = Path(__file__).parents[2]
MODULES = (noop.__name__, resolver.__name__)


def install(folder: Path) -> str:
    """Write what an installed package leaves in a folder; the PYTHONPATH of who shall find it."""
    package = folder / "evergraph_benchmark-1.dist-info"
    package.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: evergraph-benchmark\nVersion: 1\n"
    entries = "".join(f"{module} = {module}\n" for module in MODULES)
    (package / "METADATA").write_text(metadata, encoding="utf-8")
    (package / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}", encoding="utf-8")
    return os.pathsep.join((str(folder), str(ROOT)))
