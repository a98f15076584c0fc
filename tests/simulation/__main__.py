"""The command: `python -m tests.simulation --seeds 1000`, or `--first 17 --seeds 1 --trace`."""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from tests.simulation.world import Broken, simulate


class Verdict(NamedTuple):
    """What came of a seed: its trace, and what was broken, if anything was."""

    seed: int
    trace: str
    digest: str
    problem: str | None = None


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order in which sets are gone through belongs to the seed.
        environ = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], environ
        )
    options = _options()
    seeds = range(options.first, options.first + options.seeds)
    print(f"seeds {seeds[0]} to {seeds[-1]}", flush=True)
    began = time.monotonic()
    failed = 0
    with ProcessPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(judged, seeds, chunksize=4):
            failed += verdict.problem is not None
            _tell(verdict, with_trace=options.trace)
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds, {failed} failed")
    print(f"in {seconds:.1f} s", file=sys.stderr)
    return 1 if failed else 0


def judged(seed: int) -> Verdict:
    """Live through one seed."""
    # What was killed may not clean up, and says so.
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore", RuntimeWarning)
    problem = None
    try:
        world = simulate(seed)
    except Broken as broken:
        world, problem = broken.world, traceback.format_exc()
    verdict = Verdict(seed, "\n".join(world.trace), world.digest, problem)
    del world
    gc.collect()
    return verdict


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    drawn = random.SystemRandom().randrange(2**32)
    parser.add_argument("--first", type=int, default=drawn, help="the first; by default drawn")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--trace", action="store_true", help="print what happened in each")
    return parser.parse_args()


def _tell(verdict: Verdict, *, with_trace: bool) -> None:
    if with_trace:
        print(verdict.trace)
        print(f"seed {verdict.seed}: {verdict.digest}")
    if verdict.problem is not None:
        print(verdict.problem)
        again = f"--first {verdict.seed} --seeds 1 --trace"
        print(f'seed {verdict.seed} failed; again: make simulate ARGS="{again}"', flush=True)


if __name__ == "__main__":
    sys.exit(main())
