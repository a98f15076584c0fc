"""What processes cost the machine, as Linux accounts for it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """Seconds of CPU so far, and bytes of memory.

    Memory is the proportional set size: what processes share is divided among them.
    """

    cpu_seconds: float
    memory_bytes: int


def alone(pid: int) -> Usage:
    """What a process used, without its children."""
    return _sum([pid])


def families(pids: Mapping[str, int]) -> dict[str, Usage]:
    """What each process used, together with all that descend from it."""
    children = _children()
    return {name: _sum(_family(pid, children)) for name, pid in pids.items()}


def _children() -> dict[int, list[int]]:
    found: defaultdict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(_fields(stat)[1])
        except OSError:
            continue
        found[parent].append(int(stat.parent.name))
    return found


def _family(pid: int, children: Mapping[int, list[int]]) -> list[int]:
    return [pid, *(one for child in children.get(pid, ()) for one in _family(child, children))]


def _sum(pids: Iterable[int]) -> Usage:
    cpu_seconds, memory_bytes = 0.0, 0
    for pid in pids:
        try:
            fields = _fields(Path(f"/proc/{pid}/stat"))
            memory_bytes += _proportional_bytes(pid)
        except OSError:
            continue
        cpu_seconds += (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
    return Usage(cpu_seconds, memory_bytes)


def _fields(stat: Path) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on, after the name in parentheses."""
    return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _proportional_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
