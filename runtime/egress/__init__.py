"""The only way out to servers that users name.

An address is judged when it is connected to, after the name has been resolved and for every
redirect anew, so a name that changes its address between check and use gains nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from domain.http import Body, HttpAnswer, HttpFailure, check_size
from domain.limits import egress_limits
from runtime.egress.addresses import Gate, IpNetwork, Resolve
from runtime.fair_queue import FairQueue

if TYPE_CHECKING:
    from runtime.egress.exchange import Exchange


class Egress:
    """An HTTP client for public addresses and the networks in `allow`; see domain.http.

    `seconds` bounds a request with all its redirects; `resolve` gives the addresses of a name, by
    default by the hosts file and the DNS servers of the system.
    """

    def __init__(
        self,
        allow: Sequence[IpNetwork] = (),
        *,
        seconds: float = egress_limits.SECONDS_MAX,
        resolve: Resolve | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve
        self._seconds = seconds
        self._exchange: Exchange | None = None
        self._queue = FairQueue(egress_limits.CONNECTIONS_MAX, egress_limits.CONNECTIONS_PER_USER)

    def of(self, user_id: str) -> UserEgress:
        """What the blocks of this user's runs send with."""
        return UserEgress(self, user_id)

    async def send(
        self, user_id: str, method: str, url: str, headers: Mapping[str, str], body: Body | None
    ) -> HttpAnswer:
        """Send one request, follow its redirects, and give the last answer.

        Waits for a place first: users take turns. Raises HttpRefused when something about it is not
        allowed, among it a body beyond REQUEST_BYTES_MAX, and HttpFailure when the server cannot be
        reached, breaks the protocol, or exceeds HEAD_BYTES_MAX,
        HEADERS_BYTES_MAX, RESPONSE_BYTES_MAX, PIECES_MAX,
        REDIRECTS_MAX or the time.
        """
        async with self._queue.place(user_id):
            if self._exchange is None:
                self._exchange = self._opened()
            content = body() if callable(body) else body
            check_size(len(content or b""))
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._exchange.send(user_id, method, url, headers, content)
            except TimeoutError:
                late = f"There was no complete answer within {self._seconds:g} s"
                raise HttpFailure(late) from None

    async def close(self) -> None:
        """Close the connections; requests under way fail."""
        if self._exchange is not None:
            await self._exchange.close()
            self._exchange = None

    def _opened(self) -> Exchange:
        # The libraries are slow to import, and most processes never send anything.
        from runtime.egress.exchange import Exchange  # noqa: PLC0415 - see above
        from runtime.egress.names import Names  # noqa: PLC0415 - see above

        return Exchange(Gate(self._allow, self._resolve or Names()))


class UserEgress(NamedTuple):
    """The client as one user has it."""

    egress: Egress
    user_id: str

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Body | None
    ) -> HttpAnswer:
        """See Egress.send."""
        return await self.egress.send(self.user_id, method, url, headers, body)
