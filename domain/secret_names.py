"""What is called like a secret: it stands in no log and leaves with no export."""

from __future__ import annotations

import re

SECRET_NAMES = re.compile(
    r"(?:(?:^|[_-])(?:authorization|cookie|password|secret|token|apikey)|[_-]key)s?$",
    re.IGNORECASE,
)
"""Such as `token`, `x-api-key`, `client_secret` and `headers_#_Authorization`."""
