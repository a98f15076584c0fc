"""What a person reads when everything is up."""

from __future__ import annotations

from evergraph import address, tokens
from runtime.settings import HMAC_ALGORITHMS, Settings


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
