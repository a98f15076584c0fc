"""Users: who they say they are, as told by their tokens."""

from __future__ import annotations

from datetime import datetime

import msgspec

from domain.aggregates import Aggregate
from domain.events import Event, event, unexpected
from domain.states import State


@event("users.UserRegistered")
class UserRegistered(Event, frozen=True):
    user_id: str
    email: str
    name: str | None
    at: datetime


@event("users.ProfileChanged")
class ProfileChanged(Event, frozen=True):
    email: str
    name: str | None
    at: datetime


class User(State, frozen=True):
    user_id: str
    email: str
    name: str | None
    created_at: datetime
    updated_at: datetime


def evolve(user: User | None, happened: Event) -> User | None:
    """The user after one more event of the stream."""
    match happened:
        case UserRegistered(user_id=user_id, email=email, name=name, at=at):
            return User(user_id=user_id, email=email, name=name, created_at=at, updated_at=at)
        case ProfileChanged(email=email, name=name, at=at):
            assert user is not None
            return msgspec.structs.replace(user, email=email, name=name, updated_at=at)
        case _:
            raise unexpected(happened, "a user")


USER: Aggregate[User | None] = Aggregate("user", None, evolve)


def get_or_create(
    user: User | None, *, user_id: str, email: str, name: str | None, at: datetime
) -> list[Event]:
    """Register a user the first time, afterwards follow what the token says."""
    if user is None:
        return [UserRegistered(user_id=user_id, email=email, name=name, at=at)]
    if (user.email, user.name) == (email, name):
        return []
    return [ProfileChanged(email=email, name=name, at=at)]
