"""`WS /ws/{user_id}?token=`: who may speak here, and how a conversation ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog
from litestar import websocket
from litestar.params import FromPath
from litestar.status_codes import WS_1009_MESSAGE_TOO_BIG, WS_1011_INTERNAL_ERROR

from api.http import auth
from api.http.auth import Proof
from api.live.admission import Goodbye, Socket, admit, until_expired
from api.live.event_translator import EventTranslator
from api.live.frames import TOO_MUCH
from api.live.rate import TokenBucket
from api.live.requests import Requests
from api.live.send_queue import GONE, SendQueue
from api.live.subscribers import SubscriberRegistry, TooManySockets
from api.live.subscriptions import Subscriptions
from api.services import Services
from domain.limits import socket_limits
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
            if not await _registry(socket, services).arrivals.turn(user_id):
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
    registry = _registry(socket, services)
    with registry.send_queues.opened(user_id) as send_queue:
        await _follow(socket, services, proof, registry, send_queue)
        if send_queue.overflowed.done():
            raise Goodbye(TOO_SLOW, "too_slow")


async def _follow(
    socket: Socket,
    services: Services,
    proof: Proof,
    registry: SubscriberRegistry,
    send_queue: SendQueue,
) -> None:
    subscriptions = Subscriptions(services.log, registry.translator, send_queue)
    try:
        async with registry.joined(proof.principal.user_id, subscriptions) as subscribers:
            requests = Requests(services, subscribers, subscriptions, send_queue)
            await _until_first(
                send_queue.overflowed,
                asyncio.create_task(_listen(socket, subscribers.rate, requests)),
                asyncio.create_task(send_queue.drain(socket)),
                asyncio.create_task(subscriptions.run()),
                asyncio.create_task(until_expired(proof)),
            )
    except TooManySockets:
        raise Goodbye(TOO_MUCH, "too_many_sockets") from None
    except database.LOST as error:
        log.warning("socket.database_lost", error=repr(error))
        raise Goodbye(WS_1011_INTERNAL_ERROR, "Server error") from None


def _registry(socket: Socket, services: Services) -> SubscriberRegistry:
    """Those of this application, made with its first socket."""
    state = socket.app.state
    if "subscriber_registry" not in state:
        state.subscriber_registry = SubscriberRegistry(
            services.feed, EventTranslator(services.views)
        )
    registry: SubscriberRegistry = state.subscriber_registry
    return registry


async def _listen(socket: Socket, users: TokenBucket, requests: Requests) -> None:
    """Until the peer leaves. Raises Goodbye when a message is too large.

    A message that is too many for the user waits, and all after it with the peer: whoever was
    closed instead would come again at once, which costs more.
    """
    while True:
        event = await socket.receive()
        if event["type"] != "websocket.receive":
            return
        data = event.get("text") or event.get("bytes") or ""
        if len(data) > socket_limits.SOCKET_MESSAGE_BYTES_MAX:
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
        async with asyncio.timeout(socket_limits.SOCKET_CLOSE_SECONDS_MAX):
            await socket.close(code=goodbye.code, reason=goodbye.reason)


handlers = [live]
