"""What a person reads when everything is up."""

from __future__ import annotations

from evergraph import address, tokens
from runtime.settings import HMAC_ALGORITHMS, Settings


def greeting(settings: Settings, *, at_terminal: bool) -> str:
    """Where everything is, and a first request to paste. What is no terminal may be kept for long
    and be read by many, so there it asks for the token when it is run.
    """
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
        token = (
            tokens.token_for(settings, tokens.DEMO_EMAIL)
            if at_terminal
            else f"$(evergraph token --email {tokens.DEMO_EMAIL} --data-dir {settings.data_dir})"
        )
        lines += [f'curl -H "Authorization: Bearer {token}" {base}/api/credits', ""]
    return "\n".join([*lines, "Ctrl-C stops everything."])
