"""What is secret by its name or by its look: it stands in no log and leaves with no export."""

from __future__ import annotations

import re

HIDDEN = "***"

SECRET_NAMES = re.compile(
    r"(?:(?i:token|secret|passw(?:or)?d|passphrase|cookie|authorization|credential"
    r"|(?:access|api|client|private|secret)key)"
    r"|(?:^|(?<=[\W_])|(?<=[a-z0-9])(?=[A-Z]))(?i:o?auth|bearer|jwt|pwd)"
    r"|(?:(?<=[\W_])|(?<=[a-z0-9])(?=[A-Z]))(?i:key))"
    r"s?(?:[\W_]*[0-9]+)?\Z"
)
"""Such as `token`, `x-api-key`, `clientSecret`, `headers_#_Authorization` and `tokens_$_0`. What
other words end in, as `monkey` and `author` nearly do, is looked for as a word of its own."""

NAME_CHARS_JUDGED = 100
"""At the end of a name, which is looked at."""

USER_OF_URL = re.compile(r"://(?:[^/?#@\s]+|[^/?#@:\s]*:[^/@\s]+)(?=@)")
BEARER = re.compile(
    r"\b[Bb](?i:earer) "
    r"(?:[\w.~+/=-]{20,}|[\w.~+/=-]*[0-9][\w.~+/=-]*|(?<=\ABearer )\S+\Z)"
)
"""Not any word after it, which may be one of a sentence."""
JWT = re.compile(r"eyJ(?<![\w-]eyJ)[\w-]+\.[\w-]+\.[\w-]*")
AUTHORIZATION = re.compile(
    r"(?P<kept>\b[Aa](?i:uthorization)[\"']?\s?[:=]\s?[\"']?)(?:\w+ )?[^\s\"']+"
)
QUERY = re.compile(r"(?P<kept>[?&](?P<name>[\w.%~\[\]-]{1,100})=)[^&?\s\"']+")
NAMES_IN_QUERIES = frozenset({"key", "sig", "signature"})
"""What is secret in the query of an address, and no more than a word elsewhere."""

LOOKS = (
    ("://", USER_OF_URL, f"://{HIDDEN}"),
    (" ", BEARER, f"Bearer {HIDDEN}"),
    ("eyJ", JWT, HIDDEN),
    ("uthorization", AUTHORIZATION, rf"\g<kept>{HIDDEN}"),
)
"""What a text needs to have in it, the pattern, and what is shown."""


def is_secret_name(name: str) -> bool:
    """Whether something that is called so is a secret."""
    return SECRET_NAMES.search(name[-NAME_CHARS_JUDGED:]) is not None


def redacted(text: str) -> str:
    """The text without what looks like a secret in it, wherever it stands."""
    for hint, pattern, shown in LOOKS:
        if hint in text:
            text = pattern.sub(shown, text)
    return QUERY.sub(_without_secret, text) if "=" in text else text


def _without_secret(found: re.Match[str]) -> str:
    name = found["name"]
    is_secret = name.lower() in NAMES_IN_QUERIES or is_secret_name(name)
    return f"{found['kept']}{HIDDEN}" if is_secret else found[0]
