"""The attacks, each for ever: what it takes, and the finding of the security review behind it.

Each stands just within the bounds that would keep it out, or counts how often these did.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.neighbours.attacks.attack import Attack
from benchmarks.neighbours.attacks.edge import EDGE
from benchmarks.neighbours.attacks.runs import RUNS
from benchmarks.neighbours.attacks.stored import STORED

__all__ = ["ATTACKS", "Attack"]

ATTACKS: Mapping[str, Attack] = {
    attack.act.__name__.replace("_", " "): attack for attack in (*STORED, *RUNS, *EDGE)
}
