from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain import users
from domain.users import ProfileChanged, User, UserRegistered

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
ADA = User("1", "ada@example.com", "Ada", created_at=NOON, updated_at=NOON)


def test_the_first_token_registers() -> None:
    events = users.get_or_create(None, user_id="1", email="ada@example.com", name="Ada", at=NOON)
    assert events == [UserRegistered("1", "ada@example.com", "Ada", NOON)]
    assert users.evolve(None, events[0]) == ADA


def test_the_same_token_changes_nothing() -> None:
    assert users.get_or_create(ADA, user_id="1", email=ADA.email, name=ADA.name, at=LATER) == []


def test_another_token_changes_the_profile_and_not_the_beginning() -> None:
    events = users.get_or_create(ADA, user_id="1", email="new@example.com", name=None, at=LATER)
    assert events == [ProfileChanged("new@example.com", None, LATER)]
    assert users.evolve(ADA, events[0]) == User("1", "new@example.com", None, NOON, LATER)


def test_a_user_has_a_stream_of_its_own() -> None:
    assert users.USER.stream_of("1") == "user-1"
