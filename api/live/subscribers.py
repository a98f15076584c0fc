"""To whom a run's events go: to the sockets that subscribed to the run, and if there are none, to
all sockets of its owner. Only sockets of this process count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from api.feed import Feed
from api.live.arrivals import Arrivals
from api.live.event_translator import EventTranslator
from api.live.rate import TokenBucket
from api.live.send_queue import SendQueues
from api.live.subscriptions import Subscriptions
from domain.limits import socket_limits
from domain.runs import run_of
from projections.projection import Recorded
from runtime.cache import BoundedCache


class TooManySockets(Exception):
    """The user has as many as one may have."""


class Subscribers:
    """The sockets of one user, and the `rate` at which these may speak, all together."""

    def __init__(
        self, feed: Feed, translator: EventTranslator, user_id: str, rate: TokenBucket
    ) -> None:
        self._feed = feed
        self._translator = translator
        self.user_id = user_id
        self.rate = rate
        self._members: set[Subscriptions] = set()
        self._by_run: dict[str, set[Subscriptions]] = {}
        self._joining = asyncio.Lock()
        self._leave_feed: Callable[[], None] | None = None

    @property
    def is_empty(self) -> bool:
        return not self._members

    async def join(self, member: Subscriptions) -> None:
        """From its return on, the member misses nothing.

        Raises TooManySockets, and what `database.LOST` names; `leave` is due in any case.
        """
        if len(self._members) >= socket_limits.SOCKETS_PER_USER_MAX:
            raise TooManySockets
        self._members.add(member)
        async with self._joining:
            if self._leave_feed is None:
                self._leave_feed = await self._feed.subscribe(self.user_id, self._hear)

    def leave(self, member: Subscriptions) -> None:
        """Forget the member and its subscriptions."""
        for run_id in member.run_ids:
            self.unsubscribe(member, run_id)
        self._members.discard(member)
        if self.is_empty and self._leave_feed is not None:
            self._leave_feed()
            self._leave_feed = None

    def subscribe(self, member: Subscriptions, run_id: str, after: int, position: int) -> None:
        """Send the member the run after version `after`, which has this position, and then
        as it goes on.
        """
        self._by_run.setdefault(run_id, set()).add(member)
        member.begin(run_id, after, position)

    def unsubscribe(self, member: Subscriptions, run_id: str) -> None:
        """End a subscription, if there is one."""
        member.end(run_id, self._feed.position or 0)
        subscribers = self._by_run.get(run_id, set())
        subscribers.discard(member)
        if not subscribers:
            self._by_run.pop(run_id, None)

    def _hear(self, recorded: Recorded) -> None:
        run_id = run_of(recorded.stream)
        told = self._translator.translate(recorded)
        for member in self._by_run.get(run_id, self._members):
            member.hear(run_id, recorded.version, told)


class SubscriberRegistry:
    """The users who have sockets here. One a process."""

    def __init__(self, feed: Feed, translator: EventTranslator) -> None:
        self._feed = feed
        self.translator = translator
        self.send_queues = SendQueues()
        self.arrivals = Arrivals()
        self._by_user: dict[str, Subscribers] = {}
        self._rates: BoundedCache[str, TokenBucket] = BoundedCache(
            socket_limits.SOCKET_RATES_KEPT_MAX
        )
        """By user, also of those who have left: a rate that began anew for whoever comes again
        would be none."""

    @asynccontextmanager
    async def joined(self, user_id: str, member: Subscriptions) -> AsyncIterator[Subscribers]:
        """The user's subscribers, with `member` in it. Raises what `Subscribers.join` raises."""
        subscribers = self._by_user.get(user_id)
        if subscribers is None:
            subscribers = Subscribers(self._feed, self.translator, user_id, self._rate_of(user_id))
            self._by_user[user_id] = subscribers
        try:
            await subscribers.join(member)
            yield subscribers
        finally:
            subscribers.leave(member)
            if subscribers.is_empty:
                self._by_user.pop(user_id, None)

    def _rate_of(self, user_id: str) -> TokenBucket:
        rate = self._rates.get(user_id)
        if rate is None:
            per_second = socket_limits.SOCKET_USER_MESSAGES_PER_SECOND
            rate = TokenBucket(per_second, socket_limits.SOCKET_USER_MESSAGES_BURST)
            self._rates.put(user_id, rate)
        return rate
