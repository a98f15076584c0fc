"""`WS /ws/{user_id}?token=`: who may speak here, and how a conversation ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from litestar import websocket
from litestar.params import FromPath
from litestar.status_codes import WS_1009_MESSAGE_TOO_BIG, WS_1011_INTERNAL_ERROR

from api import auth
from api.auth import Proof
from api.live.admission import Goodbye, Socket, admit, until_expired
from api.live.audience import Audiences, TooManySockets
from api.live.following import Following
from api.live.frames import TOO_MUCH
from api.live.narrator import Narrator
from api.live.outbox import GONE, Outbox
from api.live.rate import TokenBucket
from api.live.requests import Requests
from api.services import Services
from domain import limits
from runtime import database

log = structlog.get_logger()

TOO_SLOW = 4408


@websocket("/ws/{user_id:str}", opt={auth.PUBLIC: True})
async def live(socket: Socket, user_id: FromPath[str]) -> None:
    """The socket: requests in, answers and the events of the user's runs out.

    A connection is accepted before it is refused, since a browser sees no reason otherwise.
    """
    services: Services = socket.app.state.services
    proof: Proof | None = None
    try:
        try:
            proof = admit(socket, services, user_id)
            if not await _audiences(socket, services).arrivals.turn(user_id):
                raise Goodbye(TOO_MUCH, "too_many_sockets")
        finally:
            with suppress(*GONE):
                await socket.accept()
        await _converse(socket, services, proof)
    except Goodbye as goodbye:
        _tell(proof, goodbye)
        await _close(socket, goodbye)
    except Exception:
        log.exception("socket.failed", user=_user(proof))
        await _close(socket, Goodbye(WS_1011_INTERNAL_ERROR, "Server error"))


def _tell(proof: Proof | None, goodbye: Goodbye) -> None:
    """Of a stranger no more than that there was one: the name may be a secret or a page long, the
    reason quotes the token, and there may be as many as they like.
    """
    if proof is None:
        log.debug("socket.refused", code=goodbye.code)
    else:
        log.info("socket.closed", user=_user(proof), code=goodbye.code, reason=goodbye.reason)


def _user(proof: Proof | None) -> str | None:
    return None if proof is None else proof.principal.user_id


async def _converse(socket: Socket, services: Services, proof: Proof) -> None:
    """Until the peer leaves. Raises Goodbye when we do."""
    user_id = proof.principal.user_id
    audiences = _audiences(socket, services)
    with audiences.outboxes.opened(user_id) as outbox:
        await _follow(socket, services, proof, audiences, outbox)
        if outbox.overflowed.done():
            raise Goodbye(TOO_SLOW, "too_slow")


async def _follow(
    socket: Socket, services: Services, proof: Proof, audiences: Audiences, outbox: Outbox
) -> None:
    following = Following(services.log, audiences.narrator, outbox)
    try:
        async with audiences.joined(proof.principal.user_id, following) as audience:
            requests = Requests(services, audience, following, outbox)
            await _until_first(
                outbox.overflowed,
                asyncio.create_task(_listen(socket, audience.rate, requests)),
                asyncio.create_task(outbox.drain(socket)),
                asyncio.create_task(following.run()),
                asyncio.create_task(until_expired(proof)),
            )
    except TooManySockets:
        raise Goodbye(TOO_MUCH, "too_many_sockets") from None
    except database.LOST as error:
        log.warning("socket.database_lost", error=repr(error))
        raise Goodbye(WS_1011_INTERNAL_ERROR, "Server error") from None


def _audiences(socket: Socket, services: Services) -> Audiences:
    """Those of this application, made with its first socket."""
    state = socket.app.state
    if "audiences" not in state:
        state.audiences = Audiences(services.feed, Narrator(services.views))
    audiences: Audiences = state.audiences
    return audiences


async def _listen(socket: Socket, users: TokenBucket, requests: Requests) -> None:
    """Until the peer leaves. Raises Goodbye when a message is too large.

    A message that is too many for the user waits, and all behind it with the peer: whoever was
    closed instead would come again at once, which costs more.
    """
    while True:
        event = await socket.receive()
        if event["type"] != "websocket.receive":
            return
        data = event.get("text") or event.get("bytes") or ""
        if len(data) > limits.SOCKET_MESSAGE_BYTES_MAX:
            raise Goodbye(WS_1009_MESSAGE_TOO_BIG, "message too big")
        await users.turn()
        await requests.answer(data)


async def _until_first(overflowed: asyncio.Future[None], *tasks: asyncio.Task[None]) -> None:
    """Until one of them is done; the others end with it. Raises what a task raised."""
    try:
        await asyncio.wait([overflowed, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _close(socket: Socket, goodbye: Goodbye) -> None:
    with suppress(*GONE):
        async with asyncio.timeout(limits.SOCKET_CLOSE_SECONDS_MAX):
            await socket.close(code=goodbye.code, reason=goodbye.reason)


handlers = [live]
