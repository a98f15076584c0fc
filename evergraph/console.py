"""The terminal. Nobody reading is no reason to fail."""

from __future__ import annotations

import os
import sys


def say(text: str) -> None:
    """Print for people and for pipes."""
    try:
        print(text, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"evergraph: {text}", file=sys.stderr)
