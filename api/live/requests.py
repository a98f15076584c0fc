"""What clients may ask for over a socket, and what they are answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import structlog

from api.live import messages
from api.live.history import read_page
from api.live.messages import Message
from api.live.send_queue import SendQueue
from api.live.subscribers import Subscribers
from api.live.subscriptions import Subscriptions
from api.services import Services
from domain import runs
from domain.errors import NotFound, Unavailable
from domain.graphs.graph import GRAPH
from domain.json_values import has_repeats
from domain.limits import request_limits, socket_limits, value_limits
from projections.runs import details
from runtime import process

log = structlog.get_logger()

Request = Mapping[str, Any]

INTERNAL_ERROR = "Internal server error"
NO_RUN = "Execution not found"
NO_GRAPH = "Graph not found"
SHOWN_CHARS_MAX = 100


class RequestRefused(Exception):
    """A request that is answered with an error; the socket stays open."""


class Requests:
    """Answers the requests of one socket, one after the other."""

    def __init__(
        self,
        services: Services,
        subscribers: Subscribers,
        subscriptions: Subscriptions,
        send_queue: SendQueue,
    ) -> None:
        self._services = services
        self._subscribers = subscribers
        self._subscriptions = subscriptions
        self._send_queue = send_queue
        self._handlers: dict[str, Callable[[Request], Awaitable[None]]] = {
            "subscribe_execution": self._subscribe,
            "unsubscribe_execution": self._unsubscribe,
            "execution_status": self._status,
            "graph_update": self._graph,
            "ping": self._ping,
        }

    async def answer(self, data: str | bytes) -> None:
        """Answer one message, when those before have room. What goes wrong is answered too."""
        await self._send_queue.room()
        try:
            await self._dispatch(_read(data))
        except RequestRefused as refusal:
            self._send(messages.Failure(message=str(refusal)))
        except Exception:
            log.exception("socket.request_failed")
            self._send(messages.Failure(message=INTERNAL_ERROR))

    async def _dispatch(self, request: Request) -> None:
        kind = request.get("type")
        if not kind:
            raise RequestRefused("Missing message type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            raise RequestRefused(f"Unknown message type: {str(kind)[:SHOWN_CHARS_MAX]}")
        await handler(request)

    async def _ping(self, _: Request) -> None:
        self._send(messages.Pong())

    async def _subscribe(self, request: Request) -> None:
        run_id = _id(request, "execution_id", NO_RUN)
        after = _after_version(request)
        # Whatever is told of the run from here on belongs behind the confirmation.
        with self._subscriptions.holding(run_id):
            with _refusing("Failed to subscribe to execution", NO_RUN):
                position = await self._position_of(run_id, after)
            others = [other for other in self._subscriptions.run_ids if other != run_id]
            if len(others) >= socket_limits.SUBSCRIPTIONS_PER_SOCKET_MAX:
                raise RequestRefused(f"Too many subscriptions: at most {len(others)} at once")
            self._send(messages.SubscriptionConfirmed(execution_id=run_id))
            self._subscribers.subscribe(self._subscriptions, run_id, after, position)

    async def _position_of(self, run_id: str, version: int) -> int:
        """Where a version of the run stands in the log, 0 for version 0.

        Raises NotFound unless the run is the user's, RequestRefused if it is not at `version` yet.
        """
        event_log = self._services.log
        if await event_log.owner_of(runs.stream_of(run_id)) != self._subscribers.user_id:
            raise NotFound(NO_RUN)
        if version == 0:
            return 0
        page = await read_page(event_log, run_id, version - 1, 1)
        if not page:
            raise RequestRefused("Invalid after_version: the execution has not got that far")
        return page[0].position

    async def _unsubscribe(self, request: Request) -> None:
        run_id = _id(request, "execution_id", NO_RUN)
        self._subscribers.unsubscribe(self._subscriptions, run_id)
        self._send(messages.UnsubscriptionConfirmed(execution_id=run_id))

    async def _status(self, request: Request) -> None:
        run_id = _id(request, "execution_id", NO_RUN)
        views, user_id = self._services.views, self._subscribers.user_id
        with _refusing("Failed to get execution status", NO_RUN):
            async with views.permit(
                self._send_queue.share, request_limits.OUTPUTS_PAGE_BYTES
            ) as permit:
                status = await details.look(views, permit, run_id, user_id, messages.status_of)
                message = messages.encode(status)
        self._send_queue.put(message)

    async def _graph(self, request: Request) -> None:
        graph_id = _id(request, "graph_id", NO_GRAPH)
        with _refusing(INTERNAL_ERROR, NO_GRAPH):
            loaded = await self._services.repository.load_owned(
                GRAPH, graph_id, self._subscribers.user_id
            )
        active = loaded.state.version(None)
        self._send(
            messages.GraphUpdateResponse(
                graph_id=graph_id, version=active.version, name=active.name
            )
        )

    def _send(self, message: Message) -> None:
        self._send_queue.put(messages.encode(message))


@contextmanager
def _refusing(failure: str, missing: str) -> Iterator[None]:
    """Turn NotFound into the refusal `missing`, and all that is nobody's fault into `failure`."""
    try:
        yield
    except RequestRefused:
        raise
    except NotFound:
        raise RequestRefused(missing) from None
    except Unavailable as error:
        raise RequestRefused(error.message) from None
    except MemoryError:
        process.out_of_memory()
        raise RequestRefused(failure) from None
    except Exception:
        log.exception("socket.request_failed")
        raise RequestRefused(failure) from None


def _read(data: str | bytes) -> Request:
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        encoded = data.encode() if isinstance(data, str) else data
        request = msgspec.json.decode(encoded)
        if isinstance(request, dict) and not has_repeats(encoded, request):
            return request
    raise RequestRefused("Invalid message format")


def _id(request: Request, field: str, missing: str) -> str:
    value = request.get(field)
    if not value:
        raise RequestRefused(f"Missing {field}")
    if (
        not isinstance(value, str)
        or len(value) > value_limits.ID_CHARS_MAX
        or not value.isprintable()
    ):
        raise RequestRefused(missing)
    return value


def _after_version(request: Request) -> int:
    value = request.get("after_version", 0)
    if type(value) is not int or not 0 <= value <= value_limits.JSON_INTEGER_MAX:
        raise RequestRefused("Invalid after_version: a whole number from 0 is wanted")
    return value
