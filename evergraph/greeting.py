"""What a person reads when everything is up, and when the demo has run."""

from __future__ import annotations

import shlex
import sysconfig
from pathlib import Path

from evergraph import address, tokens
from runtime.settings import HMAC_ALGORITHMS, Settings


def greeting(settings: Settings, *, at_terminal: bool) -> str:
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
        token = _token(settings, at_terminal=at_terminal)
        lines += [f'curl -H "Authorization: Bearer {token}" {base}/api/credits', ""]
    return "\n".join([*lines, "Ctrl-C stops everything."])


def watching(
    settings: Settings, user_id: str, graph_id: str, run_id: str, *, at_terminal: bool
) -> str:
    """How to look at a run, and how to be told what happens in it from its beginning."""
    base = address.base_url(settings)
    socket = f"{base.replace('http', 'ws', 1)}/ws/{user_id}"
    run = f"{base}/api/v1/graphs/{graph_id}/executions/{run_id}"
    subscribe = f'{{"type": "subscribe_execution", "execution_id": "{run_id}", "after_version": 0}}'
    lines = [
        "",
        "To look at this run, and to watch its events until Ctrl-D, paste into another terminal:",
        f"  TOKEN={_token(settings, at_terminal=at_terminal)}",
        f'  curl -H "Authorization: Bearer $TOKEN" {run}',
        f"  (echo '{subscribe}'; cat) | {_command('websockets')} \"{socket}?token=$TOKEN\"",
        f"All routes, in a browser: {base}/schema",
    ]
    return "\n".join(lines)


def _token(settings: Settings, *, at_terminal: bool) -> str:
    """A token, or how a shell gets one: what is no terminal may be kept for long and be read by
    many.
    """
    if at_terminal:
        return tokens.token_for(settings, tokens.DEMO_EMAIL)
    folder = shlex.quote(str(settings.data_dir))
    return f"$({_command('evergraph')} token --email {tokens.DEMO_EMAIL} --data-dir {folder})"


def _command(name: str) -> str:
    """How a person calls a program of this environment, wherever they are."""
    ours = Path(sysconfig.get_path("scripts"), name)
    return shlex.quote(str(ours)) if ours.exists() else name
