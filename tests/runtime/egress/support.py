from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from domain.http import HttpAnswer
from runtime.egress import Egress

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


async def get(client: Egress, url: str, **headers: str) -> HttpAnswer:
    return await client.of("somebody").send("GET", url, headers=headers, body=None)


async def get_as(user_id: str, client: Egress, url: str) -> HttpAnswer:
    return await client.of(user_id).send("GET", url, headers={}, body=None)


class Names:
    """A resolver with a list of answers for each name; the last answer stays."""

    def __init__(self, **answers: list[list[tuple[str, int]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int, user_id: str) -> Sequence[tuple[str, int]]:
        self.asked.append(host)
        answers = self.answers[host.partition(".")[0]]
        return answers.pop(0) if len(answers) > 1 else answers[0]
