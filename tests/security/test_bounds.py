"""Paths, queries and headers have bounds, and what is beyond them is refused with a reason."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.app import create_app
from blocks.logic import CountItems
from domain.limits import graph_limits, request_limits
from runtime import ids
from tests.support.api import Caller, Platform, Saved, answered
from tests.support.graphs import echo, graph, items, node
from tests.support.routes import endpoints

DIGITS = "9" * 5_000


class Owned(NamedTuple):
    """A user with a graph that has run, and the paths of both."""

    user: Caller
    graph: Saved
    path: str
    run_path: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owned(installation: Platform) -> Owned:
    user = await installation.user()
    saved = await user.save(echo())
    run_id = await user.start(saved)
    await user.ended(saved, run_id)
    return Owned(user, saved, saved.path, saved.run_path(run_id))


@pytest.mark.parametrize(
    "page", ["0", "-1", str(request_limits.PAGE_MAX + 1), "9" * 30, DIGITS, "x", ""]
)
@pytest.mark.holds("S19")
async def test_pages_have_bounds(owned: Owned, page: str) -> None:
    answered(await owned.user.get(f"{owned.path}/executions?page={page}"), 400)


@pytest.mark.parametrize(
    "size", ["0", "-1", str(request_limits.PAGE_SIZE_MAX + 1), "9" * 30, "1.5"]
)
@pytest.mark.holds("S19")
async def test_page_sizes_have_bounds(owned: Owned, size: str) -> None:
    answered(await owned.user.get(f"{owned.path}/executions?page_size={size}"), 400)


@pytest.mark.parametrize(
    "query",
    [
        *("after=-1", f"after={2**63}", "after=x", "after=", f"after={DIGITS}"),
        *(
            "limit=0",
            "limit=-1",
            f"limit={request_limits.EXECUTIONS_PAGE + 1}",
            "limit=x",
            "limit=1.5",
        ),
        *("as_of=x", "as_of=-1", "as_of=", f"as_of={DIGITS}", "as_of=%00", "as_of=2026-01-31"),
    ],
)
@pytest.mark.holds("S19")
async def test_what_is_shown_of_a_run_has_bounds(owned: Owned, query: str) -> None:
    answered(await owned.user.get(f"{owned.run_path}?{query}"), 400)


@pytest.mark.parametrize("version", ["0", "9" * 18, "9" * 19, str(2**63), "0" * 19])
async def test_a_run_was_never_at_a_version_beyond_its_own(owned: Owned, version: str) -> None:
    answered(await owned.user.get(f"{owned.run_path}?as_of={version}"), 404)


@pytest.mark.parametrize("target", ["/ws/" + "x" * 30_000, "/ws/x?token=" + "x" * 30_000])
@pytest.mark.holds("S17")
async def test_a_socket_with_an_endless_address_is_refused(
    installation: Platform, target: str
) -> None:
    address = f"ws://127.0.0.1:{installation.http.base_url.port}{target}"
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, proxy=None)
    assert refused.value.response.status_code == 414


async def test_the_last_page_is_within_the_bounds(owned: Owned) -> None:
    query = f"page={request_limits.PAGE_MAX}&page_size={request_limits.PAGE_SIZE_MAX}"
    assert (await owned.user.read(f"{owned.path}/executions?{query}"))["executions"] == []


@pytest.mark.parametrize("version", ["0", "-1", "2", "9" * 30, DIGITS, "x", "1.0", "%00"])
async def test_versions_that_do_not_exist_are_not_found(owned: Owned, version: str) -> None:
    answered(await owned.user.get(f"{owned.path}/versions/{version}"), 404)
    answered(await owned.user.post(f"{owned.path}/execute/{version}", {}), 404)


@pytest.mark.parametrize("version", [DIGITS, "x", "1.5", "%00"])
async def test_a_version_in_a_query_is_a_number(owned: Owned, version: str) -> None:
    answered(await owned.user.get(f"{owned.path}?version={version}"), 400)


NAMES = [
    "%00",
    "a%00b",
    "%ff%fe",
    "%ed%a0%80",
    "a%2Fb",
    "%2e%2e",
    "x" * 5_000,
    "'%3B--",
    "*",
    "%3E",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.holds("S34")
async def test_odd_names_in_paths_are_not_found(installation: Platform, name: str) -> None:
    """Every route with an id, whatever stands in its place."""
    user = await installation.user()
    values = {"graph_id": name, "run_id": name, "value_id": name, "version": 1, "graph_version": 1}
    body = {**echo(), "version": 1}
    for endpoint in endpoints(create_app(installation.settings)):
        if endpoint.method == "OPTIONS" or not endpoint.path.startswith("/api/"):
            continue
        if any(parameter.endswith("_id") for parameter in endpoint.parameters):
            fitting = {"version": 1} if endpoint.path.endswith("/fork") else body
            sent = fitting if endpoint.takes_a_body else None
            response = await user.request(endpoint.method, endpoint.url(values), sent)
            answered(response, 404)


@pytest.mark.parametrize(
    "name",
    [
        *("..%2fapp.py", "%2e%2e/app.py", "a%00b", "%2fetc%2fpasswd", "x", "%ff%fe"),
        *("x" * 300, "%C3%A9" * 200, "x/" * 3_000),
    ],
)
async def test_assets_are_what_is_in_their_folder(installation: Platform, name: str) -> None:
    response = await installation.http.get(f"/schema-assets/{name}")
    answered(response, 404)


@pytest.mark.parametrize("position", [DIGITS, "9" * 20, "-1", "1.5", "x", "", "+1"])
async def test_a_position_is_a_whole_number(owned: Owned, position: str) -> None:
    for path in ("/api/v1/graphs", "/api/v1/executions", f"{owned.path}/executions"):
        refused = await owned.user.get(path, At_Least=position)
        assert answered(refused, 400)["message"] == "At-Least must be a position, a whole number"


@pytest.mark.parametrize("key", ["", "k" * (request_limits.IDEMPOTENCY_KEY_CHARS_MAX + 1), "a\tb"])
async def test_a_key_is_short_and_printable(installation: Platform, owned: Owned, key: str) -> None:
    head = await installation.at_rest()
    for path, body in (
        ("/api/v1/auth/user", None),
        ("/api/v1/graphs", {"graph": echo()}),
        (f"{owned.path}/execute", None),
    ):
        refused = await owned.user.post(path, body, Idempotency_Key=key)
        assert "Idempotency-Key must have 1 to 255" in answered(refused, 400)["message"]
    assert await installation.at_rest() == head


async def test_the_longest_key_is_a_key(owned: Owned) -> None:
    key = ids.new_id().hex.ljust(request_limits.IDEMPOTENCY_KEY_CHARS_MAX, "k")
    answered(await owned.user.post(f"{owned.path}/execute", Idempotency_Key=key))


@pytest.mark.holds("S19")
async def test_a_graph_has_as_many_nodes_and_links_as_its_bounds(
    installation: Platform, user: Caller
) -> None:
    most = [node(str(n), CountItems) for n in range(graph_limits.GRAPH_NODES_MAX)]
    await user.save(graph(*most))
    head = await installation.at_rest()
    too_many = await user.post("/api/v1/graphs", {"graph": graph(*most, items("one more"))})
    assert answered(too_many, 400)["message"] == "nodes has 1001 entries; at most 1000 are allowed"
    one = "a.item > b.collection\n"
    tangle = graph(
        items("a"), node("b", CountItems), links=one * (graph_limits.GRAPH_LINKS_MAX + 1)
    )
    refused = await user.post("/api/v1/graphs", {"graph": tangle})
    assert answered(refused, 400)["message"] == "links has 5001 entries; at most 5000 are allowed"
    assert await installation.at_rest() == head


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("page", "page_size", "version", "for_export", "at_least", "x"),
                *("as_of", "after", "limit"),
            ]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.integers().map(str)
        | st.floats().map(str),
    )
)
@settings(max_examples=50)
async def test_random_queries_are_no_server_error(owned: Owned, query: dict[str, str]) -> None:
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    paths = (owned.path, f"{owned.path}/executions", f"{owned.path}/versions", owned.run_path)
    for path in (*paths, "/api/v1/review/pending"):
        response = await owned.user.get(f"{path}?{text}")
        assert response.status_code in {200, 400, 404}, response.text
