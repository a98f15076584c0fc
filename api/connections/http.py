"""HTTP with bounds, over uvicorn's own: for how long, how much, and how many at once.

What is refused here is no request yet: it is in no log, and no handler hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from math import inf
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api.connections.places import Places
from api.connections.proxies import is_tls
from api.connections.refusals import ENCODED
from api.connections.sockets import SocketProtocol
from api.connections.watched import Watched
from domain.limits import connection_limits
from runtime import clock

HEALTH = b"/health"
"""So begins all that may be asked beyond the bounds."""


class Phase(Enum):
    """What comes next on a connection."""

    HEAD = auto()
    BODY = auto()
    ANSWER = auto()
    REST = auto()
    """The rest of a body that was answered before it was whole."""
    IDLE = auto()
    """Another request, at some time or other."""
    END = auto()
    """The peer reads why it was refused."""


BUSY = {Phase.BODY, Phase.ANSWER}
"""In these nobody gives way."""

SECONDS: dict[Phase, Callable[[], float]] = {
    Phase.HEAD: lambda: connection_limits.HEAD_SECONDS_MAX,
    Phase.BODY: lambda: connection_limits.TRANSFER_SECONDS,
    Phase.ANSWER: lambda: inf,
    Phase.REST: lambda: connection_limits.TRANSFER_SECONDS,
    Phase.END: lambda: connection_limits.HANGUP_SECONDS_MAX,
}


class ConnectionState(ServerState):
    """What the connections of one server share."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places

    def look(self) -> None:
        """Due now and then: end what takes too long."""
        now = clock.monotonic()
        for connection in tuple(cast("set[Watched]", self.connections)):
            connection.look(now)
        self.places.look()


class ParserStopped(Exception):
    """Stops the parser."""


class HttpProtocol(Watched, HttpToolsProtocol):
    """One connection. Every request passes here, so it costs as little as can be: what comes next,
    and until when, is found out when somebody looks.
    """

    cycle: RequestResponseCycle | None  # type: ignore[assignment]
    """The request that came last, and its answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.url = b""
        self.headers = []
        self._refusal = 400
        self._is_deaf = self._is_in_body = self._is_half_counted = False
        self._requests = self._head_bytes = self._sent_bytes = self._body_bytes = 0
        self._seen: tuple[Phase, int] | None = None
        self._deadline = self._drained_by = inf
        self._seen_bytes = self._undrained_bytes = 0
        places = cast("ConnectionState", self.server_state).places
        self.place = places.take(self, self.client[0] if self.client else "")
        self.is_reserved = self.place is not None and self.place.is_reserved
        if self.place is None:
            self._is_deaf = True
            transport.abort()
        else:
            self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.leave()

    # --- what the peer sends ----------------------------------------------------------------
    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if self._is_in_body:
            self._sent_bytes += len(data)
        else:
            self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            self._refuse(self._refusal)
            return
        if self._is_in_body:
            self._check_body()
        elif self._is_in_head():
            self._check_head()

    def _is_in_head(self) -> bool:
        """Something of a head is there, or of what may stand before it."""
        return self._head_bytes > 0 or self.cycle is None or self.cycle.scope is not self.scope

    def _check_head(self) -> None:
        """Of a head that is not complete."""
        if len(self.url) > connection_limits.TARGET_BYTES_MAX:
            self._refuse(414)
        elif (
            self._head_bytes > connection_limits.HEAD_BYTES_MAX
            or len(self.headers) > connection_limits.HEADERS_MAX
        ):
            self._refuse(431)
        elif not self._head_bytes:
            # It began after another request, in the same data.
            self._is_half_counted = True

    def _check_body(self) -> None:
        """Of a body that is not complete."""
        framing = self._sent_bytes - self._body_bytes
        if (
            framing > connection_limits.BODY_FRAMING_BYTES_MAX
            or len(self.headers) > connection_limits.HEADERS_MAX
        ):
            self._refuse(400)

    def on_headers_complete(self) -> None:
        fault = self._fault()
        if fault is not None:
            self._refusal = fault
            raise ParserStopped
        super().on_headers_complete()
        self._is_in_body, self._is_half_counted = True, False
        self._head_bytes = self._sent_bytes = self._body_bytes = 0
        self._requests += 1
        if self.is_reserved and self.cycle is not None:
            self.cycle.keep_alive = False
        if not self.parser.should_upgrade():
            # Trailers come here too. They are nobody's headers: whoever looked at the head has not
            # seen them.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_in_body = False

    def _fault(self) -> int | None:
        """The status with which this head is refused, if it is."""
        status = None
        if len(self.url) > connection_limits.TARGET_BYTES_MAX:
            status = 414
        elif len(self.headers) > connection_limits.HEADERS_MAX or self._is_too_large():
            status = 431
        elif self._is_in_doubt():
            status = 400
        elif self._is_beyond():
            status = 503
        return status

    def _is_too_large(self) -> bool:
        if 0 < self._head_bytes <= connection_limits.HEAD_BYTES_MAX and not self._is_half_counted:
            return False
        size = sum(len(name) + len(value) for name, value in self.headers)
        return size > connection_limits.HEAD_BYTES_MAX

    def _is_in_doubt(self) -> bool:
        """Whether others may read it as something else."""
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        version = self.parser.get_http_version()
        if version == "1.1" and b"transfer-encoding" not in names:
            return hosts != 1
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if version == "1.1":
            return hosts != 1 or codings != [b"chunked"] or self.parser.should_upgrade()
        return version != "1.0" or hosts > 1 or bool(codings)

    def _is_beyond(self) -> bool:
        """Whether it came where there is no room for it."""
        if len(self.pipeline) >= connection_limits.PIPELINED_MAX:
            return True
        return self.is_reserved and not self.url.startswith(HEALTH)

    # --- what it is answered ----------------------------------------------------------------
    def _refuse(self, status: int) -> None:
        """Hear no more; answer, unless others are to be answered first or an answer has begun."""
        self._is_deaf = True
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and not self._is_in_body):
            self._say(status)
        elif not self._is_in_body:
            # A connection is closed after its last answer.
            cycle.keep_alive = False
        elif cycle.response_started or self.pipeline:
            self.transport.abort()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._say(status)

    def _say(self, status: int) -> None:
        self.flow.resume_reading()
        self.transport.write(ENCODED[status, self._is_tls()])
        self.transport.write_eof()

    def _is_tls(self) -> bool:
        """As far as that is known: a head may be refused before it has said so."""
        if self.scope is None:
            return False
        return self.scope["scheme"] == "https" or is_tls(self.app, self.client, self.headers)

    def _upgrade(self) -> None:
        """Whoever wants another protocol than a socket's gets this one, for one request."""
        if self._should_upgrade():
            self.handle_websocket_upgrade()
            protocol = self.transport.get_protocol()
            assert isinstance(protocol, SocketProtocol)
            assert self.place is not None
            self.place.work()
            self.place.guest = protocol
            protocol.place, self.place = self.place, None
            self._is_deaf = True
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """Begin with the next request, if it is there. Unlike uvicorn's own, it sets no timer."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    # --- how long it may take ---------------------------------------------------------------
    def settle(self) -> bool:
        """Begin to count the time for what comes next, if that has changed."""
        seen = self._next(), self._requests
        if seen == self._seen or self.place is None:
            return False
        self._seen = seen
        self._begin(seen[0])
        return True

    def _next(self) -> Phase:
        cycle = self.cycle
        is_answered = cycle is None or cycle.response_complete or cycle.disconnected
        if self._is_deaf:
            return Phase.END if is_answered else Phase.ANSWER
        if self._is_in_body:
            return Phase.REST if is_answered else Phase.BODY
        if not is_answered:
            return Phase.ANSWER
        return Phase.HEAD if self._is_in_head() else Phase.IDLE

    def _begin(self, phase: Phase) -> None:
        seconds = self.timeout_keep_alive if phase is Phase.IDLE else SECONDS[phase]()
        self._deadline = clock.monotonic() + seconds
        self._seen_bytes = self._body_bytes
        assert self.place is not None
        if phase in BUSY:
            self.place.work()
        else:
            self.place.wait()

    def look(self, now: float) -> None:
        if self.is_draining and now >= self._drained_by:
            taken = self._undrained_bytes - self.transport.get_write_buffer_size()
            if taken < connection_limits.TRANSFER_BYTES_MIN:
                self.transport.abort()
                return
            self._drain()
        super().look(now)

    def check(self, now: float) -> None:
        if not self.settle() and now >= self._deadline:
            assert self._seen is not None
            self._expire(self._seen[0])

    def _expire(self, phase: Phase) -> None:
        if phase is Phase.BODY:
            arrived = self._body_bytes - self._seen_bytes
            if self._must_wait() or arrived >= connection_limits.TRANSFER_BYTES_MIN:
                self._begin(phase)
            else:
                self._refuse(408)
        elif phase is Phase.HEAD and (self._head_bytes or self.scope is not None):
            self._refuse(408)
        elif phase is Phase.END:
            self.transport.abort()
        elif self.is_draining:
            # An answer is still on its way, as fast as it must be.
            self._begin(phase)
        else:
            self.transport.close()

    def _must_wait(self) -> bool:
        """Whether the peer may not send more of its body yet."""
        cycle = self.cycle
        return self.flow.read_paused or (cycle is not None and cycle.waiting_for_100_continue)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._drain()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_draining = False

    def _drain(self) -> None:
        self.is_draining = True
        self._drained_by = clock.monotonic() + connection_limits.TRANSFER_SECONDS
        self._undrained_bytes = self.transport.get_write_buffer_size()
