"""Where connections come in: a few in a turn, so that those are counted before more come."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence

from api.connections.places import Places
from domain.limits import connection_limits

OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Has of `asyncio.Server` what uvicorn wants of it. That one, and uvloop's, take all who wait
    at once. At the limit of descriptors the one tries on and on and logs it each time, and the
    other closes all who wait and tells nobody.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        places: Places,
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self.sockets = sockets
        self._places = places
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
        for listening in sockets:
            self._listen(listening)

    def close(self) -> None:
        for pause in self._pauses.values():
            pause.cancel()
        for listening in self.sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()

    async def wait_closed(self) -> None:
        """Connections are waited for elsewhere."""

    def _listen(self, listening: socket.socket) -> None:
        self._loop.add_reader(listening.fileno(), self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(connection_limits.ACCEPTED_IN_A_TURN):
            try:
                peer, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_DESCRIPTORS:
                    raise
                self._find_descriptors(listening)
                return
            peer.settimeout(0)
            task = self._loop.create_task(self._connect(peer))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _find_descriptors(self, listening: socket.socket) -> None:
        """One gives way to the next; if there is none, the next has to wait for a moment."""
        if not self._places.give_up_one():
            self._loop.remove_reader(listening.fileno())
            self._pauses[listening] = self._loop.call_later(
                connection_limits.ACCEPT_AGAIN_SECONDS, self._listen, listening
            )

    async def _connect(self, peer: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, peer)
        except OSError:
            # It has gone already.
            peer.close()


async def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets, one for each address of the host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            backlog = connection_limits.CONNECTIONS_COMING_MAX
            listening = socket.create_server(address, family=family, backlog=backlog)
            sockets.append(listening)
            listening.settimeout(0)
            # What a slow peer has not taken stays with us, where it is watched, and it shows soon
            # that it has taken some. Connections inherit this.
            unsent = connection_limits.UNSENT_BYTES_MAX
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, unsent)
            # asyncio does this for sockets of its own making alone. Without it the body of an
            # answer waits until the peer has said that it has the head.
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
