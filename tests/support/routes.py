"""All HTTP routes of the application, so that no test can forget one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from api.http.auth import PUBLIC

PARAMETER = re.compile(r"\{(\w+)\}")


class Endpoint(NamedTuple):
    """One method of one path; `path` has its parameters as `{name}`."""

    method: str
    path: str
    handler: HTTPRouteHandler

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        return bool(self.handler.opt.get(PUBLIC))

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def operation(self) -> str:
        """The same for the paths with and without a version."""
        return f"{self.method} {self.path.replace('/api/v1/', '/api/')}"

    @property
    def takes_a_body(self) -> bool:
        return "data" in self.handler.parsed_fn_signature.parameters

    def url(self, values: dict[str, Any]) -> str:
        """The path with these values. Raises KeyError for a parameter without one."""
        return PARAMETER.sub(lambda found: str(values[found[1]]), self.path)


def endpoints(app: Litestar) -> Iterator[Endpoint]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in sorted(route.route_handler_map.items()):
                yield Endpoint(method, route.path_format, handler)
