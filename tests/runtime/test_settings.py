from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from runtime import settings
from runtime.settings import SettingsError

SECRET = "x" * 32


def test_an_empty_environment_means_embedded_servers_on_this_machine() -> None:
    found = settings.load({})
    assert found.database_url is None
    assert found.nats_url is None
    assert found.data_dir == Path.cwd() / ".evergraph"
    assert (found.host, found.port, found.executors) == ("127.0.0.1", 8006, 1)
    assert (found.jwt_verify_key, found.jwt_algorithm) == (None, "HS256")
    assert found.egress_allow == ()


def test_every_setting_is_read() -> None:
    found = settings.load(
        {
            "DATABASE_URL": "postgresql://app@db/evergraph",
            "EVERGRAPH_MIGRATION_URL": "postgresql://owner@db/evergraph",
            "NATS_URL": "nats://nats:4222",
            "EVERGRAPH_DATA_DIR": "somewhere",
            "EVERGRAPH_HOST": "0.0.0.0",
            "EVERGRAPH_PORT": "9000",
            "EVERGRAPH_EXECUTORS": "3",
            "JWT_VERIFY_KEY": SECRET,
            "JWT_ALGORITHM": "HS512",
            "JWT_ISSUER": "https://id.example.com",
            "JWT_KEY_ID": "2026",
            "EVERGRAPH_SIGNUP_CREDITS": "7",
            "EVERGRAPH_RUNS_PER_USER": "30",
            "EVERGRAPH_RUNS_PER_GRAPH": "20",
            "EVERGRAPH_BYTES_PER_USER": "5000000",
            "EVERGRAPH_CONNECTIONS": "90",
            "EVERGRAPH_CONNECTIONS_PER_ADDRESS": "80",
            "EVERGRAPH_IDLE_SECONDS": "70",
            "EVERGRAPH_ALLOWED_ORIGINS": "https://app.example.com, http://localhost:3000",
            "EVERGRAPH_EGRESS_ALLOW": "10.0.0.0/8, ::1",
            "EVERGRAPH_LOG_LEVEL": "debug",
            "EVERGRAPH_WORKER_NAME": "executor-3",
            "EVERGRAPH_FAILPOINT": "append.committed:kill9@2",
            "EVERGRAPH_PARENT_FD": "5",
        }
    )
    assert found == settings.Settings(
        database_url="postgresql://app@db/evergraph",
        migration_url="postgresql://owner@db/evergraph",
        nats_url="nats://nats:4222",
        data_dir=Path.cwd() / "somewhere",
        host="0.0.0.0",
        port=9000,
        executors=3,
        jwt_verify_key=SECRET,
        jwt_algorithm="HS512",
        jwt_issuer="https://id.example.com",
        jwt_key_id="2026",
        signup_credits=7,
        runs_per_user=30,
        runs_per_graph=20,
        bytes_per_user=5_000_000,
        connections=90,
        connections_per_address=80,
        idle_seconds=70,
        allowed_origins=("https://app.example.com", "http://localhost:3000"),
        egress_allow=(ip_network("10.0.0.0/8"), ip_network("::1")),
        log_level="debug",
        worker_name="executor-3",
        failpoint="append.committed:kill9@2",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", "mysql://db"),
        ("NATS_URL", "localhost:4222"),
        ("NATS_URL", "nats://["),
        ("EVERGRAPH_PORT", "0"),
        ("EVERGRAPH_PORT", "65536"),
        ("EVERGRAPH_PORT", "-1"),
        ("EVERGRAPH_PORT", "eight"),
        ("EVERGRAPH_PORT", "٣"),
        ("EVERGRAPH_EXECUTORS", "65"),
        ("EVERGRAPH_CONNECTIONS", "0"),
        ("EVERGRAPH_CONNECTIONS_PER_ADDRESS", "0"),
        ("EVERGRAPH_IDLE_SECONDS", "0.5"),
        ("EVERGRAPH_SIGNUP_CREDITS", "1.5"),
        ("EVERGRAPH_EGRESS_ALLOW", "10.0.0.0/33"),
        ("EVERGRAPH_LOG_LEVEL", "loud"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_VERIFY_KEY", "short"),
        ("EVERGRAPH_EXECUTOR", "3"),
    ],
)
@pytest.mark.holds("S07")
def test_a_wrong_setting_is_refused_in_one_line_that_names_it(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name) as refusal:
        settings.load({name: text})
    assert "\n" not in str(refusal.value)


def test_an_asymmetric_algorithm_needs_the_public_key() -> None:
    with pytest.raises(SettingsError, match="JWT_VERIFY_KEY"):
        settings.load({"JWT_ALGORITHM": "RS256"})


def test_empty_values_count_as_absent() -> None:
    names = ("DATABASE_URL", "NATS_URL", "EVERGRAPH_PORT", "JWT_VERIFY_KEY", "EVERGRAPH_HOST")
    assert settings.load(dict.fromkeys(names, "")) == settings.load({})


def test_the_environment_of_a_child_is_ours_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGRAPH_PORT", "1")
    child = settings.environment(EVERGRAPH_PORT="2")
    assert child["EVERGRAPH_PORT"] == "2"
    assert child["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("", None), ("seven", None)])
def test_the_watch_of_the_parent_is_a_descriptor(
    monkeypatch: pytest.MonkeyPatch, text: str, number: int | None
) -> None:
    monkeypatch.setenv("EVERGRAPH_PARENT_FD", text)
    assert settings.parent_fd() == number
