"""`python -m benchmarks NAME [OPTIONS]` runs one benchmark and prints what it found."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "log": "benchmarks.log",
    "neighbours": "benchmarks.neighbours.main",
    "peers": "benchmarks.peers.main",
    "runs": "benchmarks.runs",
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] not in BENCHMARKS:
        sys.stderr.write(f"usage: python -m benchmarks {{{','.join(BENCHMARKS)}}} [--help]\n")
        return 2
    code: int = importlib.import_module(BENCHMARKS[argv[0]]).main(argv[1:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
