"""A few hundred seeds, each with faults of its own; and the same seed once more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.plugin import ROOT

SEEDS = 300
SECONDS_MAX = 600


def simulated(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command printed."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(SECONDS_MAX)
def test_no_seed_breaks_a_promise() -> None:
    done = simulated("--seeds", str(SEEDS))
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    assert f"{SEEDS} seeds, 0 failed" in done.stdout


def test_the_same_seed_gives_the_same_trace() -> None:
    once, again = (simulated("--first", "7", "--seeds", "8", "--trace") for _ in range(2))
    assert "kill" in once.stdout, "these seeds do harm"
    assert once.stdout == again.stdout
