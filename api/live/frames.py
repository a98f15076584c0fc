"""What a peer sends beneath its messages."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from api.live.rate import TokenBucket
from domain.limits import socket_limits

TOO_MUCH = 4429
TOO_MANY_MESSAGES = "too_many_messages"
TOO_MANY_FRAMES = "too_many_frames"


class BoundedFrames(WebSocketsSansIOProtocol):
    """Bounds how many messages a peer sends, and what no message counts: pings, each of which is
    answered whether the peer reads or not, and the pieces of a message, which are kept and may be
    empty.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._frames_left = TokenBucket(
            socket_limits.SOCKET_FRAMES_PER_SECOND, socket_limits.SOCKET_FRAMES_BURST
        )
        self._messages_left = TokenBucket(
            socket_limits.SOCKET_MESSAGES_PER_SECOND, socket_limits.SOCKET_MESSAGES_BURST
        )

    def data_received(self, data: bytes) -> None:
        """In small pieces: what comes at once may be tens of thousands of frames, all of which the
        parser reads before anybody can refuse the first.
        """
        for start in range(0, len(data), socket_limits.SOCKET_PIECE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + socket_limits.SOCKET_PIECE_BYTES])

    def handle_text(self, event: Frame) -> None:
        if self._may_pass(self._messages_left, TOO_MANY_MESSAGES):
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if self._may_pass(self._messages_left, TOO_MANY_MESSAGES):
            super().handle_bytes(event)

    def handle_ping(self) -> None:
        if self._may_pass(self._frames_left, TOO_MANY_FRAMES):
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        if self._may_pass(self._frames_left, TOO_MANY_FRAMES):
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if self._may_pass(self._frames_left, TOO_MANY_FRAMES):
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

    def _may_pass(self, left: TokenBucket, refusal: str) -> bool:
        """Whether another one may; else the peer is told why not. If it sends as much again after
        a close, it does not listen.
        """
        if not left.take():
            if not self.close_sent:
                self._refuse(TOO_MUCH, refusal)
            elif not self.transport.is_closing():
                self.transport.abort()
        return not self.close_sent

    def _refuse(self, code: int, reason: str) -> None:
        """Tell the peer, unless it takes nothing: then what waits for it is given up. What it has
        sent and nobody has looked at is not looked at any more.
        """
        if self.close_sent:
            return
        while not self.queue.empty():
            self.queue.get_nowait()
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        if self.transport.get_write_buffer_size() > 0:
            self.transport.abort()
