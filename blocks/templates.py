"""Rendering the templates of users on the spot, when nothing can go wrong."""

from __future__ import annotations

from blocks.contract import BlockFailure
from blocks.template_jobs import Answer, Job
from domain.limits import template_limits, value_limits

__all__ = ["Job", "TemplateFailure", "render_now", "text_of"]


class TemplateFailure(BlockFailure):
    """A template that makes no text, with the reason."""


def render_now(job: Job) -> str | None:
    """The text, or None for a template that only a context's `templates` can be trusted with.

    Raises TemplateFailure for a wrong template, a missing value, and one that exceeds
    CHARS_MAX or, in what it makes, OUTPUT_CHARS_MAX of `domain/limits/template_limits.py`.
    """
    if len(job.source) > template_limits.CHARS_MAX:
        raise TemplateFailure(f"the template has more than {template_limits.CHARS_MAX} characters")
    # Jinja2 is slow to import, and most processes that know the blocks never render.
    from blocks.template_sandbox import render_straight  # noqa: PLC0415 - see above

    answer = render_straight(job)
    return None if answer is None else text_of(answer)


def text_of(answer: Answer) -> str:
    """Raises TemplateFailure."""
    if answer.failure is not None:
        raise TemplateFailure(answer.failure[: value_limits.ERROR_CHARS_MAX])
    return answer.text
