"""What browsers are told about every answer."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from api.app import create_app
from tests.support.api import Caller, Platform
from tests.support.routes import endpoints

ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
}
SOMETHING = {
    "graph_id": "1",
    "graph_version": 1,
    "run_id": "1",
    "version": 1,
    "value_id": "1",
    "path": "x",
    "file_path": "swagger-ui.css",
}


@pytest.mark.parametrize("has_token", [True, False])
@pytest.mark.holds("S38")
async def test_every_answer_says_how_it_may_be_used(
    installation: Platform, user: Caller, has_token: bool
) -> None:
    for endpoint in endpoints(create_app(installation.settings)):
        headers = user.headers if has_token else {}
        response = await installation.http.request(
            endpoint.method, endpoint.url(SOMETHING), headers=headers
        )
        assert ALWAYS.items() <= dict(response.headers).items(), endpoint
        is_kept = endpoint.path.startswith("/schema-assets/")
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert policy.endswith("frame-ancestors 'none'")
        assert ("script-src" in policy) == endpoint.path.startswith("/schema"), endpoint
        assert response.headers.get("cache-control") == (None if is_kept else "no-store"), endpoint


async def test_options_are_all_methods_of_a_path(installation: Platform, user: Caller) -> None:
    methods = defaultdict(set)
    found = list(endpoints(create_app(installation.settings)))
    for endpoint in found:
        methods[endpoint.path].add(endpoint.method)
    for endpoint in found:
        if endpoint.method == "OPTIONS":
            response = await user.request("OPTIONS", endpoint.url(SOMETHING))
            assert response.headers["allow"] == ", ".join(sorted(methods[endpoint.path])), endpoint


@pytest.mark.parametrize(("scheme", "promised"), [("https", "max-age=31536000"), ("http", None)])
@pytest.mark.holds("S38")
async def test_tls_is_promised_where_it_is(user: Caller, scheme: str, promised: str | None) -> None:
    response = await user.get("/api/v1/graphs", X_Forwarded_Proto=scheme)
    assert response.headers.get("strict-transport-security") == promised


async def test_the_page_of_the_documentation_needs_no_more_than_it_may(user: Caller) -> None:
    response = await user.get("/schema")
    assert not re.findall(r"""(?:src|href)=['"]https?://""", response.text)
    assert "eval(" not in response.text


@pytest.mark.holds("S38")
async def test_no_foreign_page_may_read_an_answer(user: Caller) -> None:
    response = await user.get("/api/v1/graphs", Origin="https://elsewhere.example")
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.holds("S39")
async def test_an_answer_does_not_name_its_server(user: Caller) -> None:
    assert "server" not in (await user.get("/api/v1/graphs")).headers
