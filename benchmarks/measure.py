"""Figures: how many a second, how long each took, and the table that shows them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

RUNS = 3
"""Each figure is the median of so many runs,"""
SECONDS = 2
"""and each run of load takes so long."""


class Figure(msgspec.Struct, frozen=True):
    """Times are in seconds, None where there is no single call to time."""

    rate: float
    p50: float | None = None
    p95: float | None = None

    @classmethod
    def of(cls, count: int, seconds: float, latencies: Sequence[float]) -> Figure:
        """`count` things in `seconds`; `latencies` of the calls, in any order."""
        ordered = sorted(latencies)
        return cls(
            rate=count / seconds,
            p50=ordered[len(ordered) // 2],
            p95=ordered[len(ordered) * 95 // 100],
        )


def median(figures: Sequence[Figure]) -> Figure:
    """The figure with the middle rate."""
    middle = statistics.median_low(figure.rate for figure in figures)
    return next(figure for figure in figures if figure.rate == middle)


def print_table(title: str, figures: dict[str, Figure]) -> None:
    """One line a contender; times of its calls in milliseconds, where it has any."""
    width = max(len(name) for name in (title, *figures))
    print(f"\n{title:<{width}}  {'per second':>12}      p50 ms    p95 ms")
    print("-" * (width + 34))
    for name, figure in figures.items():
        times = f"{_milliseconds(figure.p50):>12}{_milliseconds(figure.p95):>10}"
        print(f"{name:<{width}}  {figure.rate:>12,.0f}{times}".rstrip())


class Aim(NamedTuple):
    """What was measured, and the bound that it shall reach, or stay under if `at_most`."""

    measured: float
    bound: float
    at_most: bool = False

    @property
    def is_reached(self) -> bool:
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


def print_aims(aims: Mapping[str, Aim]) -> None:
    """One line an aim, and whether it was reached."""
    width = max(len(name) for name in aims)
    print(f"\n{'':<{width}}  {'measured':>10}  {'aim':>16}")
    print("-" * (width + 38))
    for name, aim in aims.items():
        measured = f"{aim.measured:,.{_digits(aim.bound)}f}"
        bound = f"{'at most' if aim.at_most else 'at least'} {aim.bound:,g}"
        verdict = "reached" if aim.is_reached else "missed"
        print(f"{name:<{width}}  {measured:>10}  {bound:>16}  {verdict}")


def _digits(bound: float) -> int:
    """So many decimals that a miss by a hair shows."""
    return 2 if bound < 10 else 1 if bound < 1_000 else 0


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f}"
