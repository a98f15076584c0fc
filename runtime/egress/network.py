"""The connections of the guarded client: resolved once, judged, and made to what was judged."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, NoReturn

import httpcore2

from domain.http import HttpFailure
from domain.limits import egress_limits
from runtime.egress.addresses import Gate

sender: ContextVar[str] = ContextVar("sender")
"""The user whose request it is that a connection is made for; the library does not pass it on."""


head: ContextVar[Head] = ContextVar("head")
"""What the answer that is waited for begins with."""


class Head:
    """What comes before an answer's headers are complete: its head, and before it any number of
    interim answers, which the library reads and forgets.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self.is_complete = False

    def check_room(self) -> None:
        """Raises HttpFailure when so much has come that there should be an answer."""
        if not self.is_complete and self._bytes > egress_limits.HEAD_BYTES_MAX:
            raise HttpFailure(
                f"There is no answer within the first {egress_limits.HEAD_BYTES_MAX} bytes"
            )

    def add(self, size: int) -> None:
        self._bytes += size


class BoundedStream(httpcore2.AsyncNetworkStream):
    """A connection that reads no endless head."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> bytes:
        """Raises HttpFailure, and what the library raises."""
        present = head.get()
        present.check_room()
        data = await self._stream.read(max_bytes, timeout)
        present.add(len(data))
        return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> httpcore2.AsyncNetworkStream:
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


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
                return BoundedStream(
                    await self._sockets.connect_tcp(
                        address, address_port, timeout, local_address, socket_options
                    )
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return BoundedStream(
            await self._sockets.connect_tcp(*last, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> NoReturn:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        await self._sockets.sleep(seconds)
