"""Budgets that runs share: what has been taken from the pool of a tree."""

from __future__ import annotations

from commands.streams import Loaded, Streams
from domain import budgets
from domain.budgets import Allotment


async def load(streams: Streams, root: str) -> Loaded[Allotment]:
    """The stream of the pool of the tree of this run, folded: what is no longer in it."""
    return await streams.load(budgets.stream_of(root), budgets.NOTHING, budgets.evolve)
