"""A small disk that can be filled to its last byte."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BLOCK = bytes(4_096)


class Disk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Take all that is free."""
        with self._filler.open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(BLOCK)

    def clear(self) -> None:
        """Give it back."""
        self._filler.unlink()


@contextmanager
def disk(path: Path, megabytes: int) -> Iterator[Disk]:
    """A disk of this size is mounted at `path` in this block. Skips where we may not mount."""
    path.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", os.fspath(path))
    mounted = subprocess.run(("mount", *options), check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(("umount", "--lazy", os.fspath(path)), check=True)
