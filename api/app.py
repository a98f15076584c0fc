"""The application: routes, errors, connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import NotFoundException
from litestar.routes import HTTPRoute
from litestar.status_codes import HTTP_204_NO_CONTENT
from litestar.types import LifeSpanScope, Message, Receive, Scope, Send
from litestar.types.asgi_types import LifeSpanReceive, LifeSpanSend

from api import (
    blocks,
    credits,
    documents,
    forks,
    graphs,
    health,
    live,
    problems,
    reviews,
    run_control,
    runs,
    users,
    values,
)
from api.auth import Authentication
from api.bodies import BodyRequest
from api.commands import AnyRequest
from api.large_bodies import LargeBodies
from api.services import Services
from domain import limits, memory_limits
from runtime.settings import Settings

NOUNS = (users, credits, blocks, graphs, runs, run_control, forks, reviews, values)

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]
PRIVATE_HEADERS = [*SECURITY_HEADERS, (b"cache-control", b"no-store")]
NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""An answer is data: a browser that shows it loads and runs nothing."""
OWN_CONTENT = (
    b"content-security-policy",
    b"; ".join(
        [
            b"default-src 'none'",
            b"script-src 'self' 'unsafe-inline'",
            b"style-src 'self' 'unsafe-inline'",
            b"img-src 'self' data:",
            b"connect-src 'self'",
            b"frame-ancestors 'none'",
        ]
    ),
)
"""The page of the documentation has its own scripts, and asks this host."""
ALWAYS_HTTPS = (b"strict-transport-security", b"max-age=31536000")


class Api(Litestar):
    """The application, which tells the server that it runs in nothing of a socket's query: there
    stands the token, and the server logs the address of each socket that it takes or refuses.
    """

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        own = scope.copy()
        if scope["type"] == ScopeType.WEBSOCKET:
            cast("Scope", scope)["query_string"] = b""
        await super().__call__(own, receive, send)


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
            Router("/api/v1", route_handlers=handlers, security=documents.SECURED),
            # The real platform's paths have no version; same handlers, listed once.
            Router("/api", route_handlers=handlers, include_in_schema=False),
            *health.handlers,
            *live.handlers,
            documents.assets,
        ],
        dependencies={"services": Provide(provide_services)},
        middleware=[
            Authentication(services.verifier),
            LargeBodies(memory_limits.LARGE_BODIES_AT_ONCE),
        ],
        exception_handlers=problems.HANDLERS,
        request_class=BodyRequest,
        lifespan=[lifespan],
        request_max_body_size=limits.REQUEST_BYTES_MAX,
        openapi_config=documents.CONFIG,
        before_request=_refuse_unnameable,
        before_send=[_tell_methods, _secure],
        logging_config=None,
        debug=False,
    )
    app.state.services = services
    return app


async def _refuse_unnameable(request: AnyRequest) -> None:
    """Nothing has a name with U+0000 or so long a one, and PostgreSQL or a file system could not
    even look for it.
    """
    path = request.scope["path"].encode(errors="replace")
    longest = max(map(len, path.split(b"/")))
    if b"\x00" in path or len(path) > limits.PATH_BYTES_MAX or longest > limits.SEGMENT_BYTES_MAX:
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
    """Every answer says how browsers may use it; what belongs to a user is not kept by them, unless
    the answer itself says how.
    """
    if message["type"] == "http.response.start":
        path = scope["path"]
        says_how = any(name == b"cache-control" for name, _ in message["headers"])
        is_kept = says_how or path.startswith(documents.ASSETS)
        message["headers"] = [
            *message["headers"],
            *(SECURITY_HEADERS if is_kept else PRIVATE_HEADERS),
            OWN_CONTENT if path.startswith(documents.PATH) else NO_CONTENT,
            # Without TLS, here or at a proxy on this host, it would promise what is not there.
            *([ALWAYS_HTTPS] if scope["scheme"] == "https" else []),
        ]
