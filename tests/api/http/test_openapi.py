"""The OpenAPI document says all there is, and its page asks no foreign host."""

from __future__ import annotations

import dis
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from domain.limits import graph_limits, request_limits, run_limits, value_limits
from tests.support.api import Caller, Platform, answered
from tests.support.graphs import echo
from tests.support.routes import Endpoint, endpoints

Member = tuple[str, dict[str, Any]]
"""A place in a request, and its schema."""

STATUSES = {"200", "400", "401", "503"}


@pytest.fixture
async def document(installation: Platform) -> dict[str, Any]:
    """As anybody gets it."""
    found: dict[str, Any] = answered(await installation.http.get("/schema/openapi.json"))
    return found


HEALTH = {"GET /health", "GET /health/live", "GET /health/ready"}


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def contract(installation: Platform) -> list[Endpoint]:
    found = endpoints(create_app(installation.settings))
    return [e for e in found if e.path.startswith("/api/v1/") and e.method != "OPTIONS"]


async def test_it_lists_every_route_once(document: dict[str, Any], installation: Platform) -> None:
    expected = {str(endpoint) for endpoint in contract(installation)} | HEALTH
    assert operations(document).keys() == expected


async def test_the_paths_without_a_version_are_the_same_ones(installation: Platform) -> None:
    found = list(endpoints(create_app(installation.settings)))
    versioned = {e.operation: e.handler.fn for e in found if e.path.startswith("/api/v1/")}
    plain = {
        e.operation: e.handler.fn
        for e in found
        if e.path.startswith("/api/") and not e.path.startswith("/api/v1/")
    }
    fixed = {operation for operation in versioned if not operation.startswith("OPTIONS")}
    assert versioned.keys() == plain.keys()
    assert all(versioned[operation] == plain[operation] for operation in fixed)


async def test_every_operation_is_described(
    document: dict[str, Any], installation: Platform
) -> None:
    found = operations(document)
    ids = [operation["operationId"] for operation in found.values()]
    assert len(set(ids)) == len(ids)
    for endpoint in contract(installation):
        operation = found[str(endpoint)]
        assert operation["operationId"].startswith(f"{endpoint.method.lower()}V1")
        assert operation["description"].endswith(".")
        assert operation["tags"]
        assert operation["security"] == [{"bearer": []}]
        named = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert sorted(named) == sorted(endpoint.parameters)
        assert ("requestBody" in operation) == endpoint.takes_a_body
    assert not any("security" in found[operation] for operation in HEALTH)


async def test_every_answer_and_refusal_has_a_schema(
    document: dict[str, Any], installation: Platform
) -> None:
    found = operations(document)
    for endpoint in contract(installation):
        responses = found[str(endpoint)]["responses"]
        assert responses.keys() >= STATUSES, endpoint
        assert "404" in responses or not endpoint.parameters, endpoint
        assert responses.keys() >= {"413", "422"} or not endpoint.takes_a_body, endpoint
        (media,) = responses.pop("200")["content"].values()
        assert media["schema"], endpoint
        for status, response in responses.items():
            (refusal,) = response["content"].items()
            schema = {"$ref": "#/components/schemas/Problem"}
            assert refusal == ("application/problem+json", {"schema": schema}), (endpoint, status)


@pytest.mark.holds("S15")
async def test_what_is_answered_is_what_the_document_says(
    document: dict[str, Any], user: Caller
) -> None:
    """The members of each answer are those of its schema, no more and no fewer."""
    schemas = document["components"]["schemas"]
    graph = await user.save(echo())
    run = (await user.ended(graph, await user.start(graph, {"x": 1}))).run
    refused = answered(await user.get("/api/v1/graphs/unknown"), 404)
    settings = answered(await user.request("PATCH", f"{graph.path}/settings", {}))
    paused = answered(await user.post(f"{graph.path}/executions/pause"))
    answers = {
        "UserModel": answered(await user.post("/api/v1/auth/user")),
        "GraphModel": graph.model,
        "NodeModel": graph.model["nodes"][0],
        "LinkModel": graph.model["links"][0],
        "GraphMeta": (await user.read("/api/v1/graphs"))[0],
        "Stats": run["stats"],
        "NodeExecutionResult": run["node_executions"][0],
        "BudgetModel": run["budget"],
        "GraphSettings": settings,
        "RunsControlled": paused,
        "Problem": refused,
    }
    for name, shown in answers.items():
        assert shown.keys() == schemas[name]["properties"].keys(), name
    full = schemas["GraphExecutionWithNodes"]["properties"].keys()
    assert run.keys() == full - {"execution_id"}
    fork = answered(await user.post(f"{graph.run_path(run['id'])}/fork", {"version": 1}))
    assert fork.keys() == schemas["ForkedExecutionMeta"]["properties"].keys()
    await user.ended(graph, fork["id"])


async def test_a_start_can_be_sent_without_a_body(document: dict[str, Any]) -> None:
    for path in ("execute", "execute/{graph_version}"):
        operation = operations(document)[f"POST /api/v1/graphs/{{graph_id}}/{path}"]
        assert operation["requestBody"]["required"] is False


@pytest.mark.parametrize("path", ["/schema", "/schema/swagger"])
async def test_the_page_asks_no_foreign_host(installation: Platform, path: str) -> None:
    page = (await installation.http.get(path)).text
    assert "//" not in re.sub(r"(?m)^\s*//.*$", "", page).replace("https://www.w3.org/", "")
    linked = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len([link for link in linked if link.startswith("/schema-assets/")]) == 3
    for link in linked:
        if not link.startswith("data:"):
            assert (await installation.http.get(link)).status_code == 200, link


BOUNDS = {
    "Budget.steps": (1, run_limits.RUN_STEPS_MAX),
    "Budget.seconds": (0, run_limits.RUN_SECONDS_MAX),
    "Budget.credits": (0, run_limits.RUN_CREDITS_MAX),
    "ForkRun.version": (1, value_limits.JSON_INTEGER_MAX),
    "ReviewRequest.reviews": (1, request_limits.REVIEWS_DECIDED_MAX),
    "ReviewItem.message": (0, run_limits.REVIEW_MESSAGE_CHARS_MAX),
    "header Idempotency-Key": (1, request_limits.IDEMPOTENCY_KEY_CHARS_MAX),
    "path graph_version": (1, graph_limits.GRAPH_VERSION_MAX),
    "path version": (1, graph_limits.GRAPH_VERSION_MAX),
    "query version": (1, graph_limits.GRAPH_VERSION_MAX),
    "query page": (1, request_limits.PAGE_MAX),
    "query page_size": (1, request_limits.PAGE_SIZE_MAX),
    "query limit": (1, request_limits.EXECUTIONS_PAGE),
    "query after": (0, value_limits.JSON_INTEGER_MAX),
    "query outputs_after": (0, value_limits.JSON_INTEGER_MAX),
}
LEAST = {"minimum", "exclusiveMinimum", "minItems", "minLength"}
MOST = {"maximum", "maxItems", "maxLength"}


def members(document: dict[str, Any], place: str, schema: dict[str, Any]) -> Iterator[Member]:
    """All that a schema describes, with the keywords that hold for it whatever it is."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from members(document, name, document["components"]["schemas"][name])
        return
    forms = [*schema.get("oneOf", []), *schema.get("anyOf", [])]
    for form in forms or [{}]:
        if "$ref" in form:
            yield from members(document, place, form)
        else:
            yield place, {**schema, **form}
    for name, inner in schema.get("properties", {}).items():
        yield from members(document, f"{place}.{name}", inner)
    if "items" in schema:
        yield from members(document, f"{place}[]", schema["items"])


def asked(document: dict[str, Any]) -> Iterator[Member]:
    """All that a request can have in it."""
    for operation in operations(document).values():
        for parameter in operation.get("parameters", []):
            place = f"{parameter['in']} {parameter['name']}"
            yield from members(document, place, parameter["schema"])
        for media in operation.get("requestBody", {}).get("content", {}).values():
            yield from members(document, "body", media["schema"])


async def test_what_is_asked_for_has_its_bounds(document: dict[str, Any]) -> None:
    """Numbers and lists always, texts where they have some of their own."""
    found = defaultdict(set)
    for place, schema in asked(document):
        named = schema.get("type", [])
        types = {named} if isinstance(named, str) else {*named}
        if types & {"integer", "number", "array"} or ("string" in types and "maxLength" in schema):
            least = [schema[keyword] for keyword in schema.keys() & LEAST]
            most = [schema[keyword] for keyword in schema.keys() & MOST]
            found[place].add((*(least or [0]), *most))
    assert found == {place: {bounds} for place, bounds in BOUNDS.items()}


def called(function: Any) -> set[str]:
    """What a handler calls, itself or by the functions beside it."""
    loaded = [each for each in dis.get_instructions(function) if each.opname == "LOAD_GLOBAL"]
    names = {each.argval for each in loaded}
    for name in tuple(names):
        inner = function.__globals__.get(name)
        if inspect.isfunction(inner) and inner.__module__ == function.__module__:
            names |= called(inner)
    return names


async def test_headers_are_described_where_they_are_read_and_written(
    document: dict[str, Any], installation: Platform
) -> None:
    found = operations(document)
    for endpoint in contract(installation):
        operation, names = found[str(endpoint)], called(endpoint.handler.fn)
        headers = {p["name"] for p in operation.get("parameters", []) if p["in"] == "header"}
        expected = {"Idempotency-Key"} if "context_of" in names else set()
        assert headers == expected | ({"At-Least"} if "catch_up" in names else set()), endpoint
        answer = operation["responses"]["200"].get("headers", {})
        assert answer.keys() == ({"Evergraph-Position"} if "answer" in names else set()), endpoint


async def test_headers_do_what_is_said_of_them(user: Caller) -> None:
    first, again = [
        await user.post("/api/v1/graphs", {"graph": echo()}, Idempotency_Key="k") for _ in range(2)
    ]
    position = first.headers["Evergraph-Position"]
    assert (again.text, again.headers["Evergraph-Position"]) == (first.text, position)
    shown = answered(await user.get("/api/v1/graphs", At_Least=position))
    assert [graph["id"] for graph in shown] == [answered(first)["id"]]
    answered(await user.get("/api/v1/graphs", At_Least="-1"), 400)
    for key in ("", "k" * (request_limits.IDEMPOTENCY_KEY_CHARS_MAX + 1)):
        answered(await user.post("/api/v1/auth/user", Idempotency_Key=key), 400)
