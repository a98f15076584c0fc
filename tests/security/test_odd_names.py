"""Names that mean something to SQL, to NATS or to a file system mean nothing but themselves."""

from __future__ import annotations

import jwt
import pytest

from runtime import ids
from runtime.secrets import AUDIENCE, jwt_key
from tests.support.api import EMAIL, Caller, Platform, answered
from tests.support.graphs import echo

ODD = [
    *("' OR '1'='1", "'; DROP TABLE log.stored_events; --", "$1", "%s", "%(id)s", "%", "_", "\\"),
    *("*", ">", "evergraph.>", "evergraph.runs.ready", "a.b", "a b", ".", "$JS.API.>"),
    *("../../etc/passwd", "{{ 7 * 7 }}", "${jndi:ldap://x}", "<script>", "graph-1", "\u202e"),
]


def named(installation: Platform, name: str) -> Caller:
    """Somebody whom the identity provider calls so; the same name is the same user."""
    claims = {"sub": name, "aud": AUDIENCE, "exp": 2**32, "email": EMAIL}
    token = jwt.encode(claims, jwt_key(installation.settings))
    return Caller(installation.http, ids.new_id(), token)


@pytest.mark.parametrize("name", ODD)
@pytest.mark.holds("S34", "S35")
async def test_a_user_of_an_odd_name_has_what_is_theirs_and_no_more(
    installation: Platform, name: str
) -> None:
    user = named(installation, name)
    assert answered(await user.post("/api/v1/auth/user"))["id"] == name
    saved = await user.save(echo() | {"name": name, "description": name})
    run_id = await user.start(saved, {"x": name})
    ended = await user.ended(saved, run_id)
    assert (ended.status, ended.outputs) == ("COMPLETED", {"y": [name]})
    assert [(graph["name"], graph["user_id"]) for graph in await user.read("/api/v1/graphs")] == [
        (name, name)
    ]
    assert [run["id"] for run in await user.read("/api/v1/executions")] == [run_id]
    assert await user.read("/api/v1/review/pending") == []
