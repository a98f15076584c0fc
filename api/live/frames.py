"""What a peer sends beneath its messages."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from api.live.rate import TokenBucket
from domain import limits

TOO_MUCH = 4429


class BoundedFrames(WebSocketsSansIOProtocol):
    """Bounds what no message counts: pings, each of which is answered whether the peer reads or
    not, and the pieces of a message, which are kept and may be empty.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._bucket = TokenBucket(limits.SOCKET_FRAMES_PER_SECOND, limits.SOCKET_FRAMES_BURST)

    def handle_ping(self) -> None:
        if self._may_pass():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._may_pass():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if self._may_pass():
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """As uvicorn's own, which logs a text that is none as an error of the server."""
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self._refuse(CloseCode.INVALID_DATA, "")
        else:
            super().send_receive_event_to_app()

    def _may_pass(self) -> bool:
        if self.close_sent:
            return False
        if self._bucket.take():
            return True
        self._refuse(TOO_MUCH, "too_many_frames")
        return False

    def _refuse(self, code: int, reason: str) -> None:
        """Tell the peer, unless it takes nothing: then what waits for it is given up."""
        if self.close_sent:
            return
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
