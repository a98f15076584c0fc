from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import jwt

from runtime import clock, ids
from runtime.secrets import jwt_key
from tests.support.api import EMAIL, Caller, Platform, answered

PATH = "/api/v1/auth/user"


async def test_the_first_call_registers_the_tokens_user(installation: Platform) -> None:
    before = clock.now()
    caller = installation.caller(name="Ada")
    user = answered(await caller.post(PATH))
    assert user.keys() == {"id", "email", "name", "created_at", "updated_at"}
    assert (user["id"], user["email"], user["name"]) == (str(caller.user_id), EMAIL, "Ada")
    assert before <= datetime.fromisoformat(user["created_at"]) <= clock.now()
    assert user["updated_at"] == user["created_at"]
    assert await caller.read("/api/v1/credits") == {"credits": 1_000}


async def test_a_second_call_gets_the_same_user_and_no_more_credits(
    installation: Platform,
) -> None:
    caller = installation.caller()
    first = answered(await caller.post(PATH))
    head = await installation.at_rest()
    again = await caller.post("/api/auth/user")
    assert answered(again) == first
    assert "evergraph-position" not in again.headers
    assert await installation.at_rest() == head
    assert await caller.read("/api/v1/credits") == {"credits": 1_000}


async def test_the_user_follows_the_token(installation: Platform) -> None:
    user_id = ids.new_id()
    first = answered(await installation.caller(user_id).post(PATH))
    moved = installation.caller(user_id, email="new@example.com", name="Ada")
    second = answered(await moved.post(PATH))
    assert (second["email"], second["name"]) == ("new@example.com", "Ada")
    assert second["created_at"] == first["created_at"] < second["updated_at"]


async def test_many_first_calls_at_once_register_one_user(installation: Platform) -> None:
    caller = installation.caller()
    answers = await asyncio.gather(*(caller.post(PATH) for _ in range(16)))
    users = [answered(answer) for answer in answers]
    assert all(user == users[0] for user in users)
    assert await caller.read("/api/v1/credits") == {"credits": 1_000}


async def test_a_token_without_email_registers_nobody(installation: Platform) -> None:
    claims = {
        "sub": str(ids.new_id()),
        "aud": "authenticated",
        "exp": clock.now() + timedelta(hours=1),
    }
    token = jwt.encode(claims, jwt_key(installation.settings))
    caller = Caller(installation.http, ids.new_id(), token)
    head = await installation.at_rest()
    assert answered(await caller.post(PATH), 400)["message"] == "The token has no email"
    assert await installation.at_rest() == head
