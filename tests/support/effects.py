"""A service outside that counts what is done to it by key, and can keep its callers waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec

from tests.support.http_server import Received, answer, http_server
from tests.support.processes import until

TARGET = "/add-one"
SECONDS_MAX = 30.0


class Effects:
    """Answers `{"number": n}` with `{"number": n + 1}`. `seen` counts requests a key."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.url = ""
        self._kept = 0
        self._may_answer = asyncio.Event()
        self._may_answer.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody waiting until `release`, or until the block is left."""
        self._kept = 0
        self._may_answer.clear()
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let everybody go on."""
        self._may_answer.set()

    async def asked(self, requests: int) -> None:
        """Wait until this many requests have come since the service began to hold."""
        await until(lambda: self._kept >= requests, seconds=SECONDS_MAX)

    def handle(self, request: Received) -> AsyncIterator[bytes]:
        self.seen[request.headers["idempotency-key"]] += 1
        self._kept += 1
        return self._answer(request)

    async def _answer(self, request: Received) -> AsyncIterator[bytes]:
        await self._may_answer.wait()
        number = msgspec.json.decode(request.body)["number"]
        body = msgspec.json.encode({"number": number + 1})
        yield answer(200, body, Content_Type="application/json", Connection="close")


@asynccontextmanager
async def effects() -> AsyncIterator[Effects]:
    service = Effects()
    async with http_server({TARGET: service.handle}) as server:
        service.url = server.url(TARGET)
        yield service
