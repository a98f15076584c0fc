"""What a person at the terminal reads."""

from __future__ import annotations

import os
import sys

from evergraph import address, tokens
from runtime.settings import HMAC_ALGORITHMS, Settings


def say(text: str) -> None:
    """Print for people. Nobody reading is no reason to fail."""
    try:
        print(text, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())


def greeting(settings: Settings) -> str:
    """Where everything is, and a first request to paste."""
    base = address.base_url(settings)
    lines = [
        "",
        "Evergraph is up.",
        f"  API      {base}/api",
        f"  OpenAPI  {base}/schema",
        f"  Health   {base}/health",
        f"  Data     {settings.data_dir}",
        "",
    ]
    if settings.jwt_algorithm in HMAC_ALGORITHMS:
        token = tokens.token_for(settings, tokens.DEMO_EMAIL)
        lines += [f"curl -H 'Authorization: Bearer {token}' {base}/api/credits", ""]
    return "\n".join([*lines, "Ctrl-C stops everything."])
