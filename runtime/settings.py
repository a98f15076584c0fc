"""Settings: read from the environment, checked once, before anything starts."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from domain.limits import connection_limits, graph_limits, request_limits, worker_limits

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

HMAC_ALGORITHMS = ("HS256", "HS384", "HS512")
JWT_ALGORITHMS = (*HMAC_ALGORITHMS, "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA")
ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]+")
"""As browsers write it: in lower case, without a path."""
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """One line that names the wrong setting."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url` and `nats_url` are None when the embedded servers are meant."""

    database_url: str | None = None
    migration_url: str | None = None
    """The same database for whoever owns it; None: `database_url` may do that too."""
    nats_url: str | None = None
    data_dir: Path = Path(".evergraph")
    host: str = "127.0.0.1"
    port: int = 8006
    executors: int = 1
    jwt_verify_key: str | None = None
    """None: a secret made at the first start and kept in the data folder."""
    jwt_algorithm: str = "HS256"
    jwt_issuer: str | None = None
    """Whose tokens count, and must say when they were issued; None: whoever has the key."""
    jwt_key_id: str | None = None
    """The `kid` that a token must name; None: any or none."""
    signup_credits: int = 1_000
    runs_per_user: int = worker_limits.RUNS_PER_USER
    runs_per_graph: int = worker_limits.RUNS_PER_GRAPH
    """Of one user's runs of one graph."""
    bytes_per_user: int = worker_limits.BYTES_PER_USER
    """That the runs of one user write in a second, in the long run."""
    connections: int = connection_limits.CONNECTIONS_MAX
    connections_per_address: int = connection_limits.CONNECTIONS_PER_ADDRESS
    idle_seconds: int = connection_limits.IDLE_SECONDS
    """How long a connection stays open between requests."""
    graphs_per_user: int = graph_limits.GRAPHS_PER_USER
    versions_per_graph: int = graph_limits.VERSIONS_PER_GRAPH
    stored_bytes_per_user: int = graph_limits.STORED_BYTES_PER_USER
    allowed_origins: tuple[str, ...] = ()
    """Of pages that may open sockets, beside those of the API's own host."""
    egress_allow: tuple[IpNetwork, ...] = ()
    log_level: str = "info"
    worker_name: str | None = None
    """Under which name a process holds its lease; None: one of its own."""
    incarnation: str | None = None
    """What tells this process from all others that had, have or will have its name; None: one of
    its own. `predecessor` is that of the process of this name that ended before this one began."""
    predecessor: str | None = None
    failpoint: str | None = None
    """`name:action@n`, for tests: what to do at the n-th passing of a named point."""


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ`, by default the process's own.

    Raises SettingsError for the first wrong one.
    """
    values = os.environ if environ is None else environ
    _refuse_unknown(values)
    algorithm = _choice(values, "JWT_ALGORITHM", "HS256", JWT_ALGORITHMS)
    key = values.get("JWT_VERIFY_KEY") or None
    _check_key(key, algorithm)
    return Settings(
        database_url=_url(values, "DATABASE_URL", ("postgres", "postgresql")),
        migration_url=_url(values, "EVERGRAPH_MIGRATION_URL", ("postgres", "postgresql")),
        nats_url=_url(values, "NATS_URL", ("nats", "tls")),
        data_dir=Path(values.get("EVERGRAPH_DATA_DIR") or ".evergraph").absolute(),
        host=values.get("EVERGRAPH_HOST") or "127.0.0.1",
        port=_number(values, "EVERGRAPH_PORT", 8006, 1, 65_535),
        executors=_number(values, "EVERGRAPH_EXECUTORS", 1, 0, 64),
        jwt_verify_key=key,
        jwt_algorithm=algorithm,
        jwt_issuer=values.get("JWT_ISSUER") or None,
        jwt_key_id=values.get("JWT_KEY_ID") or None,
        signup_credits=_number(values, "EVERGRAPH_SIGNUP_CREDITS", 1_000, 0, 10**9),
        runs_per_user=_number(
            values, "EVERGRAPH_RUNS_PER_USER", worker_limits.RUNS_PER_USER, 1, 10**6
        ),
        runs_per_graph=_number(
            values, "EVERGRAPH_RUNS_PER_GRAPH", worker_limits.RUNS_PER_GRAPH, 1, 10**6
        ),
        bytes_per_user=_number(
            values, "EVERGRAPH_BYTES_PER_USER", worker_limits.BYTES_PER_USER, 1_000, 10**12
        ),
        connections=_number(
            values, "EVERGRAPH_CONNECTIONS", connection_limits.CONNECTIONS_MAX, 1, 10**6
        ),
        connections_per_address=_number(
            values,
            "EVERGRAPH_CONNECTIONS_PER_ADDRESS",
            connection_limits.CONNECTIONS_PER_ADDRESS,
            1,
            10**6,
        ),
        idle_seconds=_number(
            values, "EVERGRAPH_IDLE_SECONDS", connection_limits.IDLE_SECONDS, 1, 3600
        ),
        graphs_per_user=_number(
            values, "EVERGRAPH_GRAPHS_PER_USER", graph_limits.GRAPHS_PER_USER, 0, 10**6
        ),
        versions_per_graph=_number(
            values, "EVERGRAPH_VERSIONS_PER_GRAPH", graph_limits.VERSIONS_PER_GRAPH, 1, 10**6
        ),
        stored_bytes_per_user=_number(
            values, "EVERGRAPH_STORED_BYTES_PER_USER", graph_limits.STORED_BYTES_PER_USER, 0, 10**15
        ),
        allowed_origins=_origins(values, "EVERGRAPH_ALLOWED_ORIGINS"),
        egress_allow=_networks(values, "EVERGRAPH_EGRESS_ALLOW"),
        log_level=_choice(values, "EVERGRAPH_LOG_LEVEL", "info", LOG_LEVELS),
        incarnation=values.get("EVERGRAPH_INCARNATION") or None,
        predecessor=values.get("EVERGRAPH_PREDECESSOR") or None,
        worker_name=values.get("EVERGRAPH_WORKER_NAME") or None,
        failpoint=values.get("EVERGRAPH_FAILPOINT") or None,
    )


def environment(**changes: str) -> dict[str, str]:
    """The process's environment with `changes`, to start another process with."""
    return {**os.environ, **changes}


def parent_fd() -> int | None:
    """The descriptor that ties this process to its supervisor; None: it stands alone."""
    text = os.environ.get("EVERGRAPH_PARENT_FD", "")
    return int(text) if text.isascii() and text.isdigit() else None


KNOWN = frozenset(
    {
        "EVERGRAPH_ALLOWED_ORIGINS",
        "EVERGRAPH_BYTES_PER_USER",
        "EVERGRAPH_CONNECTIONS",
        "EVERGRAPH_CONNECTIONS_PER_ADDRESS",
        "EVERGRAPH_DATA_DIR",
        "EVERGRAPH_EGRESS_ALLOW",
        "EVERGRAPH_EXECUTORS",
        "EVERGRAPH_FAILPOINT",
        "EVERGRAPH_GRAPHS_PER_USER",
        "EVERGRAPH_HOST",
        "EVERGRAPH_IDLE_SECONDS",
        "EVERGRAPH_INCARNATION",
        "EVERGRAPH_PARENT_FD",
        "EVERGRAPH_LOG_LEVEL",
        "EVERGRAPH_MIGRATION_URL",
        "EVERGRAPH_PORT",
        "EVERGRAPH_PREDECESSOR",
        "EVERGRAPH_RUNS_PER_GRAPH",
        "EVERGRAPH_RUNS_PER_USER",
        "EVERGRAPH_SIGNUP_CREDITS",
        "EVERGRAPH_STORED_BYTES_PER_USER",
        "EVERGRAPH_VERSIONS_PER_GRAPH",
        "EVERGRAPH_WORKER_NAME",
    }
)


def _refuse_unknown(values: Mapping[str, str]) -> None:
    for name in sorted(values):
        if name.startswith("EVERGRAPH_") and name not in KNOWN:
            raise SettingsError(f"{name} is not a setting of Evergraph")


def _number(values: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = values.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def _choice(values: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    text = values.get(name) or default
    if text not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {text!r}")
    return text


def _url(values: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    text = values.get(name)
    if not text:
        return None
    try:
        scheme = urlsplit(text).scheme
    except ValueError:
        # It says what it cannot read, and that may hold a password.
        raise SettingsError(f"{name} is not a URL") from None
    if scheme not in schemes:
        raise SettingsError(f"{name} must be a URL that begins with {schemes[0]}://")
    return text


def _networks(values: Mapping[str, str], name: str) -> tuple[IpNetwork, ...]:
    networks = []
    for part in values.get(name, "").replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise SettingsError(f"{name} must list networks such as 10.0.0.0/8: {error}") from None
    return tuple(networks)


def _origins(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    origins = tuple(values.get(name, "").replace(",", " ").split())
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"{name} must list origins such as https://app.example.com, not {origin!r}"
            )
    return origins


def _check_key(key: str | None, algorithm: str) -> None:
    if algorithm in HMAC_ALGORITHMS:
        if key is not None and len(key.encode()) < request_limits.JWT_SECRET_BYTES_MIN:
            raise SettingsError(
                f"JWT_VERIFY_KEY must have at least {request_limits.JWT_SECRET_BYTES_MIN} bytes"
            )
    elif key is None:
        raise SettingsError(f"JWT_VERIFY_KEY must hold the public key for {algorithm}")
