"""A service outside that effects reach: it adds one, and remembers by which keys it was asked."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping
from contextvars import Context

from domain.http import Body, HttpAnswer, HttpFailure
from tests.simulation.loop import VirtualLoop

TRAVEL_SECONDS = 0.02
SLOW_TRAVEL_SECONDS = 3.0
SLOW_SHARE = 0.15
FAILED_SHARE = 0.03


class Service:
    """Sees a request although whoever sent it may be gone by then."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, outside: Context) -> None:
        self.seen: Counter[str] = Counter()
        """How often each idempotency key came."""
        self._loop = loop
        self._chance = chance
        self._outside = outside

    def of(self, _user_id: str) -> Service:
        """It is the same for everybody."""
        return self

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Body | None
    ) -> HttpAnswer:
        """Raises HttpFailure now and then."""
        answer: asyncio.Future[HttpAnswer] = self._loop.create_future()
        key = headers["idempotency-key"]
        sent = body() if callable(body) else body or b""
        self._loop.call_later(self._travel(), self._serve, key, sent, answer, context=self._outside)
        return await answer

    async def close(self) -> None:
        """Nothing is kept open."""

    def _serve(self, key: str, body: bytes, answer: asyncio.Future[HttpAnswer]) -> None:
        self.seen[key] += 1
        number = json.loads(body)["number"] + 1
        is_failed = self._chance.random() < FAILED_SHARE
        self._loop.call_later(
            self._travel(), _answer, answer, None if is_failed else number, context=self._outside
        )

    def _travel(self) -> float:
        mean = SLOW_TRAVEL_SECONDS if self._chance.random() < SLOW_SHARE else TRAVEL_SECONDS
        return self._chance.expovariate(1 / mean)


def _answer(answer: asyncio.Future[HttpAnswer], number: int | None) -> None:
    if answer.done():
        return
    if number is None:
        answer.set_exception(HttpFailure("the connection was lost"))
    else:
        headers = {"content-type": "application/json"}
        answer.set_result(HttpAnswer(200, headers, json.dumps(number).encode()))
