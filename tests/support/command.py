"""The command `evergraph` as a person types it."""

from __future__ import annotations

import subprocess
import sys

from runtime import settings

EVERGRAPH = (sys.executable, "-P", "-m", "evergraph")
EMBEDDED = {"DATABASE_URL": "", "NATS_URL": ""}


def evergraph(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        [*EVERGRAPH, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
        env=settings.environment(**(EMBEDDED | environ)),
    )
