"""What an answer says of how browsers may use it."""

from __future__ import annotations

from api.http import openapi

Headers = list[tuple[bytes, bytes]]

ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
]
NOT_KEPT = (b"cache-control", b"no-store")
NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""An answer is data: a browser that shows it loads and runs nothing."""
OWN_CONTENT = (
    b"content-security-policy",
    b"; ".join(
        [
            b"default-src 'none'",
            b"script-src 'self' 'unsafe-inline'",
            b"style-src 'self' 'unsafe-inline'",
            b"img-src 'self' data:",
            b"connect-src 'self'",
            b"frame-ancestors 'none'",
        ]
    ),
)
"""The page of the documentation has its own scripts, and asks this host."""
ALWAYS_TLS = (b"strict-transport-security", b"max-age=31536000")


def of_answer(path: str, headers: Headers, *, is_tls: bool) -> Headers:
    """What belongs to a user is not kept, unless the answer itself says how."""
    says_how = any(name == NOT_KEPT[0] for name, _ in headers)
    is_kept = says_how or path.startswith(openapi.ASSETS)
    return [
        *ALWAYS,
        *([] if is_kept else [NOT_KEPT]),
        OWN_CONTENT if path.startswith(openapi.PATH) else NO_CONTENT,
        *_promised(is_tls=is_tls),
    ]


def of_refusal(*, is_tls: bool) -> Headers:
    """Of what no handler has answered."""
    return [*ALWAYS, NOT_KEPT, NO_CONTENT, *_promised(is_tls=is_tls)]


def _promised(*, is_tls: bool) -> Headers:
    """Without TLS, here or at a proxy on this host, it would promise what is not there."""
    return [ALWAYS_TLS] if is_tls else []
