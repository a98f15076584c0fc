"""Loads that several files of tests put on an installation, and the chance that they leave."""

from __future__ import annotations

import asyncio
import random

from tests.faults.graphs import EFFECT, PURE, Step
from tests.faults.scene import Batch, Scene

PURE_CHAIN: list[Step] = [PURE] * 10
EFFECT_CHAIN: list[Step] = [PURE, EFFECT, EFFECT, PURE, EFFECT]
WAITING_CHAIN: list[Step] = [PURE, 0.3, EFFECT, 0.3, PURE]


async def crowd(scene: Scene) -> list[Batch]:
    """A few runs of every kind."""
    chains = (PURE_CHAIN, EFFECT_CHAIN, WAITING_CHAIN)
    return await asyncio.gather(*(scene.start(steps, runs=4) for steps in chains))


def seeded() -> random.Random:
    """Chance whose seed is printed."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)
