"""The terminal. Nobody reading is no reason to fail."""

from __future__ import annotations

import sys

from runtime.pipes import lead_nowhere


def say(text: str) -> None:
    """Print for people and for pipes."""
    try:
        print(text, flush=True)
    except OSError:
        lead_nowhere(sys.stdout)


def is_terminal() -> bool:
    """Whether a person reads what is said here, and nobody keeps it."""
    return sys.stdout is not None and sys.stdout.isatty()


def complain(text: str) -> None:
    """One line on standard error."""
    print(f"evergraph: {text}", file=sys.stderr)
