"""WebSockets over uvicorn's own."""

from __future__ import annotations

from api.connections.watched import Watched
from api.live.frames import BoundedFrames


class SocketProtocol(Watched, BoundedFrames):
    """One socket, in the place that it got as a connection."""

    _is_told = False

    def data_received(self, data: bytes) -> None:
        """Refuses a handshake that it cannot read, such as one with an endless header. uvicorn
        keeps the connection and the answer, for as long as the peer likes.
        """
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.leave()

    def check(self, _: float) -> None:
        """May give way from when it is closed, even if its peer does not hear that. All else about
        its life is seen to by uvicorn's pings and by the handler.
        """
        if self.close_sent and self.place is not None and not self._is_told:
            self._is_told = True
            self.place.wait()
