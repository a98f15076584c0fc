"""The application: routes, errors, connections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import LifeSpanScope, Message, Method, Receive, Scope, Send
from litestar.types.asgi_types import LifeSpanReceive, LifeSpanSend

from api import blocks, credits, graphs, live, reviews, runs, users, values
from api.connections.refusals import REFUSALS
from api.health import endpoint as health
from api.http import headers, openapi, problems
from api.http.answers import Answers
from api.http.auth import PUBLIC, Authentication
from api.http.bodies import BodyRequest
from api.http.calls import AnyRequest
from api.http.large_bodies import LargeBodies
from api.services import Services
from domain.limits import request_limits
from runtime.settings import Settings

NOUNS = (users, credits, blocks, graphs, runs, reviews, values)


class Api(Litestar):
    """The application, as the server sees it."""

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        own = scope.copy()
        if scope["type"] == ScopeType.WEBSOCKET:
            # There stands the token, and the server logs the address of each socket.
            cast("Scope", scope)["query_string"] = b""
        try:
            await super().__call__(own, receive, send)
        except BaseException:
            if scope["type"] == ScopeType.HTTP:
                await _answer_last(cast("Scope", scope), cast("Send", send))
            raise


async def _answer_last(scope: Scope, send: Send) -> None:
    """Instead of the server, which has a text of its own. It logs the error and closes."""
    status, said, body = REFUSALS[500, scope["scheme"] == "https"]
    # Where an answer has begun, it takes no other.
    with suppress(RuntimeError):
        await send({"type": "http.response.start", "status": status, "headers": said})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def create_app(settings: Settings) -> Litestar:
    """The API of one process. Opens its connections with its lifespan."""
    services = Services(settings)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await services.open()
        try:
            yield
        finally:
            await services.close()

    async def provide_services() -> Services:
        return services

    handlers = [handler for noun in NOUNS for handler in noun.handlers]
    app = Api(
        route_handlers=[
            Router("/api/v1", route_handlers=handlers, security=openapi.SECURED),
            # The real platform's paths have no version; same handlers, listed once.
            Router("/api", route_handlers=handlers, include_in_schema=False),
            *health.handlers,
            *live.handlers,
            openapi.assets,
        ],
        dependencies={"services": Provide(provide_services)},
        middleware=[
            Answers(services.answers),
            Authentication(services.verifier),
            LargeBodies(services.answers),
        ],
        exception_handlers=problems.HANDLERS,
        request_class=BodyRequest,
        lifespan=[lifespan],
        request_max_body_size=request_limits.REQUEST_BYTES_MAX,
        openapi_config=openapi.CONFIG,
        before_request=_refuse_unnameable,
        before_send=[_tell_methods, _secure],
        logging_config=None,
        debug=False,
    )
    app.state.services = services
    _open_options(app)
    return app


def _open_options(app: Litestar) -> None:
    """Whoever may ask for a path may ask how: the framework adds that method by itself."""
    by_path: defaultdict[str, dict[Method, HTTPRouteHandler]] = defaultdict(dict)
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            found = {method: handler for method, (handler, _) in route.route_handler_map.items()}
            by_path[route.path_format].update(found)
    for handlers in by_path.values():
        options = handlers.pop("OPTIONS", None)
        if options is not None and all(handler.opt.get(PUBLIC) for handler in handlers.values()):
            options.opt[PUBLIC] = True


async def _refuse_unnameable(request: AnyRequest) -> None:
    """Nothing has a name with U+0000 or so long a one, and PostgreSQL or a file system could not
    even look for it.
    """
    path = request.scope["path"].encode(errors="replace")
    longest = max(map(len, path.split(b"/")))
    if (
        b"\x00" in path
        or len(path) > request_limits.PATH_BYTES_MAX
        or longest > request_limits.SEGMENT_BYTES_MAX
    ):
        raise NotFoundException


async def _tell_methods(message: Message, scope: Scope) -> None:
    """The framework answers OPTIONS with the methods of the handler that came first for a path."""
    if (
        message["type"] == "http.response.start"
        and message["status"] == HTTP_204_NO_CONTENT
        and scope.get("method") == HttpMethod.OPTIONS
    ):
        template = scope.get("path_template")
        methods = {
            method
            for route in scope["litestar_app"].routes
            if isinstance(route, HTTPRoute) and route.path_format == template
            for method in route.methods
        }
        others = (header for header in message["headers"] if header[0] != b"allow")
        message["headers"] = [*others, (b"allow", ", ".join(sorted(methods)).encode())]


async def _secure(message: Message, scope: Scope) -> None:
    if message["type"] == "http.response.start":
        said = list(message["headers"])
        is_tls = scope["scheme"] == "https"
        message["headers"] = [*said, *headers.of_answer(scope["path"], said, is_tls=is_tls)]
