"""SQL lives in files, one statement each, named by its verb."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString


def load(module_file: str, name: str) -> LiteralString:
    """Read `sql/<name>.sql` in the folder of the module at `module_file`."""
    path = Path(module_file).parent / "sql" / f"{name}.sql"
    return path.read_text(encoding="utf-8")
