from __future__ import annotations

import asyncio

from commands import users
from domain.credits import ACCOUNT, CreditsGranted
from domain.users import ProfileChanged, UserRegistered
from runtime.aggregates.command_context import CommandContext
from runtime.aggregates.repository import Repository
from tests.support import credits as credit_support
from tests.support.log import whole_stream

ADA = CommandContext(owner="ada", actor="ada")
EMAIL = "ada@example.com"


async def test_user_and_credits_are_one_append(repository: Repository) -> None:
    done = await users.get_or_create(repository, ADA, email=EMAIL, name="Ada", signup_credits=5)
    assert (done.answer.user_id, done.answer.email, done.answer.name) == ("ada", EMAIL, "Ada")
    assert done.answer.created_at == done.answer.updated_at
    assert done.position == 2
    (registered,) = await whole_stream(repository.log, "user-ada")
    (granted,) = await whole_stream(repository.log, "credits-ada")
    assert registered.event == UserRegistered("ada", EMAIL, "Ada", done.answer.created_at)
    assert granted.event == CreditsGranted(amount=5, reason=users.SIGNUP)
    assert registered.recorded_at == granted.recorded_at


async def test_a_second_time_writes_nothing(repository: Repository) -> None:
    first = await users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=5)
    again = await users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=5)
    assert (again.answer, again.position) == (first.answer, None)
    assert await repository.log.read_head() == 2


async def test_a_new_profile_brings_no_new_credits(repository: Repository) -> None:
    await users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=5)
    done = await users.get_or_create(repository, ADA, email="new", name="Ada", signup_credits=5)
    assert (done.answer.email, done.answer.name, done.position) == ("new", "Ada", 3)
    entries = await whole_stream(repository.log, "user-ada")
    assert [type(entry.event) for entry in entries] == [UserRegistered, ProfileChanged]


async def test_who_was_given_credits_before_gets_the_rest(repository: Repository) -> None:
    await credit_support.grant(repository, ADA, amount=3, reason="gift")
    await users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=5)
    assert (await repository.load(ACCOUNT, "ada")).state.available == 8


async def test_there_need_not_be_a_grant(repository: Repository) -> None:
    done = await users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=0)
    assert done.position == 1


async def test_a_crowd_registers_one_user(repository: Repository) -> None:
    crowd = (
        users.get_or_create(repository, ADA, email=EMAIL, name=None, signup_credits=5)
        for _ in range(20)
    )
    answers = [done.answer for done in await asyncio.gather(*crowd)]
    assert all(answer == answers[0] for answer in answers)
    assert await repository.log.read_head() == 2
