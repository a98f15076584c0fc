"""The connections of the guarded client: resolved once, judged, and made to what was judged."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import NoReturn

import httpcore2

from runtime.egress.addresses import Gate

sender: ContextVar[str] = ContextVar("sender")
"""The user whose request it is that a connection is made for; the library does not pass it on."""


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._sockets = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers.

        Raises HttpRefused, HttpFailure, and what the library raises when nobody answers.
        """
        *others, last = await self._gate.addresses(host, port, sender.get())
        for address, address_port in others:
            try:
                return await self._sockets.connect_tcp(
                    address, address_port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self._sockets.connect_tcp(*last, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> NoReturn:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)
