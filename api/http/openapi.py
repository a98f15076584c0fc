"""The OpenAPI document and its page, served without asking any foreign host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from mimetypes import guess_type
from pathlib import Path, PurePath
from typing import NamedTuple

from litestar import Response, Router, route
from litestar.enums import HttpMethod
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath

from api.http.auth import PUBLIC

PATH = "/schema"
ASSETS = "/schema-assets"
BEARER = "bearer"
SECURED: list[dict[str, list[str]]] = [{BEARER: []}]

DESCRIPTION = """\
Every request but those for health carries `Authorization: Bearer <token>`.

A command may carry an `Idempotency-Key` of up to 255 characters: sent again with the same key it \
happens once and is answered the same. Its answer has the header `Evergraph-Position`, where its \
last event stands in the log; a list that is asked with `At-Least: <position>` waits for it.

A value of a run of which the JSON has more than 256 KiB is answered by reference, as \
`{"large_value": "<hash>"}`, and fetched alone at `/api/v1/values/<hash>`. Lists of reviews, and \
messages about nodes, refer to values of more than 64 KiB. `large_values` of an answer has the \
sizes by hash: an object in it is a reference if its hash is there. A list that is an array, and \
has no room for all, says where it goes on in a header `Link` with `rel="next"`.
"""

CONFIG = OpenAPIConfig(
    title="Evergraph",
    version="0.1.0",
    openapi_router=Router(PATH, route_handlers=[], opt={PUBLIC: True}, include_in_schema=False),
    description=DESCRIPTION,
    use_handler_docstrings=True,
    components=Components(
        security_schemes={BEARER: SecurityScheme(type="http", scheme=BEARER, bearer_format="JWT")}
    ),
    render_plugins=[
        SwaggerRenderPlugin(
            js_url=f"{ASSETS}/swagger-ui-bundle.js",
            css_url=f"{ASSETS}/swagger-ui.css",
            standalone_preset_js_url=f"{ASSETS}/swagger-ui-standalone-preset.js",
            favicon="<link rel='icon' href='data:,'>",
        ),
        JsonRenderPlugin(),
    ],
)


class Asset(NamedTuple):
    content: bytes
    headers: dict[str, str]


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    kind, _ = guess_type(path.name)
    tag = hashlib.sha256(content).hexdigest()[:32]
    return Asset(content, {"content-type": kind or "text/plain", "etag": f'"{tag}"'})


@cache
def _read_all() -> Mapping[str, Asset]:
    """Swagger UI as its makers ship it: swagger-ui-dist 5.35.0."""
    return {path.name: _read(path) for path in (Path(__file__).parent / "assets").iterdir()}


@route(
    f"{ASSETS}/{{file_path:path}}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt={PUBLIC: True},
    include_in_schema=False,
)
async def assets(file_path: FromPath[PurePath]) -> Response[bytes]:
    """From memory: whoever reads slowly would hold an open file, and a copy of its own."""
    found = _read_all().get(file_path.as_posix().removeprefix("/"))
    if found is None:
        raise NotFoundException
    return Response(found.content, headers=found.headers)
