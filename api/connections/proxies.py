"""What a proxy on this host says of the connection that it has."""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

TLS = {b"https", b"wss"}


def is_tls(
    app: object, client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]
) -> bool:
    """Whether it ends TLS, as `app` will be told of a request with these headers."""
    if not isinstance(app, ProxyHeadersMiddleware) or client is None:
        return False
    said = [value for name, value in headers if name == b"x-forwarded-proto"]
    return bool(said) and said[-1] in TLS and client[0] in app.trusted_hosts
