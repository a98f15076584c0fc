"""Descriptors: each connection takes one, and the database, NATS and files need some as well."""

from __future__ import annotations

import resource

import structlog

from domain.limits import connection_limits
from runtime.settings import SettingsError

log = structlog.get_logger()


def claim(connections: int) -> int:
    """How many connections this process has descriptors for, of those that are wanted.

    Raises SettingsError when there are none.
    """
    others = connection_limits.HEALTH_CONNECTIONS_MAX + connection_limits.DESCRIPTORS_KEPT
    wanted = connections + others
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    if allowed <= others:
        raise SettingsError(
            f"An API opens more than {others} files, and the limit (ulimit -n) is {allowed}"
        )
    if allowed < wanted:
        log.warning("descriptors.few", limit=allowed, connections=allowed - others)
    return min(connections, allowed - others)
