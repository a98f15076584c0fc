"""What one user's runs want much of, and another's a little."""

from __future__ import annotations

from blocks.text import FillTextTemplate
from domain.limits import template_limits
from tests.support.api import Caller
from tests.support.graphs import Document, graph, items, node
from tests.support.installation import Installation

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
SHORT = "{% for one in [n] %}{{ one }}{% endfor %}"


def filled(source: str, times: int) -> Document:
    """Fills the template so many times at once."""
    template = node("t", FillTextTemplate, format=source)
    return graph(items("a", *range(times)), template, links="a.item > t.values_#_n")


async def test_the_templates_of_one_user_do_not_hold_up_anothers(
    user: Caller, installation: Installation
) -> None:
    """Each of them takes a process for as long as a template may."""
    many = await user.save(filled(ENDLESS, 10 * template_limits.PROCESSES_MAX))
    backlog = await user.start(many)
    await user.until(many, backlog, lambda run: "FAILED" in run.statuses("t"))
    other = await installation.user()
    single = await other.save(filled(SHORT, 1))
    ended = await other.ended(single, await other.start(single))
    assert ended.only("t")["output_data"] == {"output": ["0"]}
    assert (await user.see(many, backlog)).status == "RUNNING"
    await user.command(many, backlog, "stop")
