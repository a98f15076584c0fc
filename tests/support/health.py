"""What the API says of its health."""

from __future__ import annotations

import httpx2

from tests.support.api import eventually

Said = tuple[int, str, dict[str, str]]
"""The status of the answer, that of the body, and the state of each part that is amiss."""


async def health(http: httpx2.AsyncClient, path: str = "/health") -> Said:
    """One answer, which tells what stands in every one."""
    response = await http.get(path)
    body = response.json()
    reasons = body["reasons"]
    assert body.get("part") == (reasons[0]["part"] if reasons else None)
    assert all(reason["message"].endswith(".") for reason in reasons)
    states = {reason["part"]: reason["state"] for reason in reasons}
    return response.status_code, body["status"], states


async def says(http: httpx2.AsyncClient, expected: Said, path: str = "/health") -> None:
    """Wait until this is the answer."""
    seen: list[Said] = []

    async def said() -> bool:
        seen.append(await health(http, path))
        return seen[-1] == expected

    try:
        await eventually(said)
    except AssertionError:
        raise AssertionError(f"not {expected} but {seen[-1]}") from None
