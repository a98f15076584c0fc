"""The simulated NATS: a work queue of wake_ups, and messages to whoever listens.

It loses, doubles and delays messages as a network does around broken connections, and forgets all
it had when it is started again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any

from nats.errors import ConnectionClosedError

from domain.limits import worker_limits
from runtime import nats
from runtime.settings import Settings
from tests.simulation.loop import OWNER, VirtualLoop
from workers.executor import wake_ups

TRAVEL_SECONDS = 0.001
SLOW_TRAVEL_SECONDS = 0.5
SLOW_SHARE = 0.1
NANOSECONDS = 1_000_000_000
NOTICE_SECONDS = 2.0
"""How long it may take until a broker notices that NATS is gone, or there."""

Receive = Callable[[Any], Awaitable[None]]


class Message:
    """What a subscriber gets."""

    def __init__(
        self,
        data: bytes,
        headers: dict[str, str] | None = None,
        ack: Callable[[], None] | None = None,
    ) -> None:
        self.data = data
        self.headers = headers
        self._ack = ack

    async def ack(self) -> None:
        if self._ack is not None:
            self._ack()


class Pull:
    """A request for wake-ups that is open at the server."""

    def __init__(self, inbox: str, count: int, expires_at: float) -> None:
        self.inbox = inbox
        self.count = count
        self.expires_at = expires_at


class Server:
    """One NATS server. Messages get lost with a chance that is set from outside."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, outside: Context) -> None:
        self.is_up = True
        self.lost_share = 0.0
        self.doubled_share = 0.0
        self._loop = loop
        self._chance = chance
        self._outside = outside
        self._brokers: list[SimulatedBroker] = []
        self._wake_ups: deque[bytes] = deque()
        self._pulls: deque[Pull] = deque()
        self._cut_off: set[str] = set()

    @property
    def waiting(self) -> int:
        return len(self._wake_ups)

    def go_down(self) -> None:
        """Forget everything; nobody is heard any more."""
        self.is_up = False
        self._wake_ups.clear()
        self._pulls.clear()
        self._announce()

    def come_up(self) -> None:
        self.is_up = True
        self._announce()

    def cut_off(self, name: str) -> None:
        """Let no process of this name hear NATS, nor be heard, until `let_hear`."""
        self._cut_off.add(name)
        self._announce(name)

    def let_hear(self, name: str) -> None:
        self._cut_off.discard(name)
        self._announce(name)

    def join(self, broker: SimulatedBroker) -> None:
        self._brokers.append(broker)
        self._notice(broker)

    def leave(self, broker: SimulatedBroker) -> None:
        if broker in self._brokers:
            self._brokers.remove(broker)
        inboxes = {ear.subject for ear in broker.ears}
        self._pulls = deque(pull for pull in self._pulls if pull.inbox not in inboxes)

    def publish(self, subject: str, data: bytes, reply: str) -> None:
        """Take a message, which may come late, twice, or never."""
        draw = self._chance.random()
        times = 0 if draw < self.lost_share else 2 if draw > 1 - self.doubled_share else 1
        for _ in range(times):
            self._later(self._take, subject, data, reply)

    def _take(self, subject: str, data: bytes, reply: str) -> None:
        if not self.is_up:
            return
        if subject == wake_ups.NEXT:
            request = json.loads(data)
            expires_at = self._loop.time() + request["expires"] / NANOSECONDS
            pull = Pull(reply, request["batch"], expires_at)
            self._pulls.append(pull)
            self._loop.call_at(expires_at, self._expire, pull, context=self._outside)
        elif subject == nats.READY_SUBJECT:
            self._wake_ups.append(data)
        else:
            self._deliver(subject, Message(data))
        self._match()

    def _match(self) -> None:
        """Hand wake-ups to those who asked for them, first come, first served."""
        while self._wake_ups and self._pulls:
            pull = self._pulls[0]
            pull.count -= 1
            if pull.count == 0:
                self._pulls.popleft()
            self._hand_out(self._wake_ups.popleft(), pull.inbox)

    def _hand_out(self, data: bytes, inbox: str) -> None:
        timer = self._loop.call_later(
            worker_limits.WAKE_UP_ACK_SECONDS,
            self._take,
            nats.READY_SUBJECT,
            data,
            "",
            context=self._outside,
        )
        self._later(self._deliver, inbox, Message(data, ack=timer.cancel))

    def _expire(self, pull: Pull) -> None:
        if pull in self._pulls:
            self._pulls.remove(pull)
            headers = {wake_ups.STATUS: "408", wake_ups.UNUSED: str(pull.count)}
            self._deliver(pull.inbox, Message(b"", headers))

    def _deliver(self, subject: str, message: Message) -> None:
        for broker in self._brokers:
            for ear in broker.ears:
                if ear.subject == subject and broker.is_heard:
                    ear.inbox.put_nowait(message)

    def _announce(self, name: str | None = None) -> None:
        """Have all processes, or those of a name, notice what is the case now."""
        for broker in self._brokers:
            if name in (None, broker.owner.name):
                self._notice(broker)

    def _notice(self, broker: SimulatedBroker) -> None:
        def look() -> None:
            broker.notice(self.is_up and broker.owner.name not in self._cut_off)

        seconds = self._chance.uniform(0, NOTICE_SECONDS)
        self._loop.call_later(seconds, look, context=broker.context)

    def _later(self, call: Callable[..., None], *arguments: object) -> None:
        mean = SLOW_TRAVEL_SECONDS if self._chance.random() < SLOW_SHARE else TRAVEL_SECONDS
        seconds = self._chance.expovariate(1 / mean)
        self._loop.call_later(seconds, call, *arguments, context=self._outside)


class Ear:
    """A subscription: its messages are taken one by one."""

    def __init__(self, subject: str, receive: Receive) -> None:
        self.subject = subject
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._receive = receive

    async def serve(self) -> None:
        while True:
            await self._receive(await self.inbox.get())


class SimulatedBroker:
    """What `runtime.broker.Broker` is to a process."""

    def __init__(
        self,
        server: Server,
        _settings: Settings,
        _name: str,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []
        self.ears: list[Ear] = []
        self.is_heard = False
        self.heard_at: float | None = None
        self.owner = OWNER.get()
        self.context = copy_context()
        self.owner.ended.append(lambda: server.leave(self))

    def open(self) -> None:
        self.context = copy_context()
        self._server.join(self)

    async def close(self) -> None:
        self._server.leave(self)
        for task in self._tasks:
            task.cancel()

    @property
    def client(self) -> Server:
        """Raises NatsError while NATS is not heard."""
        if not self.is_heard:
            raise ConnectionClosedError
        return self._server

    async def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        self.client.publish(subject, data, reply)

    async def confirm(self, seconds: float) -> None:
        client = self.client
        await asyncio.sleep(TRAVEL_SECONDS)
        if not client.is_up:
            raise ConnectionClosedError

    async def listen(self, subject: str, receive: Receive) -> Ear:
        ear = Ear(subject, receive)
        self.ears.append(ear)
        self._tasks.append(asyncio.create_task(ear.serve(), name=f"ear {subject}"))
        return ear

    def notice(self, is_up: bool) -> None:
        """Hear NATS again, or no more."""
        if is_up != self.is_heard:
            self.is_heard = is_up
            self._changed()
        elif is_up:
            # It was away for so short that nothing but the loss of the connection shows it.
            self.is_heard = False
            self._changed()
            self.is_heard = True
            self._changed()


async def ensure_stream(server: Server) -> None:
    """What `runtime.nats.ensure_stream` does: here it is always there. Raises NatsError."""
    await asyncio.sleep(TRAVEL_SECONDS)
    if not server.is_up:
        raise ConnectionClosedError


async def waiting_wake_ups(server: Server) -> int:
    """What `runtime.nats.waiting_wake_ups` does. Raises NatsError."""
    await asyncio.sleep(TRAVEL_SECONDS)
    if not server.is_up:
        raise ConnectionClosedError
    return server.waiting
