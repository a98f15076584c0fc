"""What a block may know of the attempt that runs it, found out when it asks."""

from __future__ import annotations

from datetime import datetime

from blocks.contract import Http, Reviewed, Templates
from domain.engine.execution import Execution
from domain.runs import execution_id
from runtime import clock


class AttemptContext:
    """The `Context` of one attempt: most blocks ask for nothing, and there are many of them."""

    __slots__ = ("_execution", "_now", "_run_id", "http", "templates")

    def __init__(self, run_id: str, execution: Execution, http: Http, templates: Templates) -> None:
        self._run_id = run_id
        self._execution = execution
        self._now: datetime | None = None
        self.http = http
        self.templates = templates

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = clock.now()
        return self._now

    @property
    def idempotency_key(self) -> str:
        return execution_id(self._run_id, self._execution.number)

    @property
    def attempt(self) -> int:
        return max(1, self._execution.attempt)

    @property
    def review(self) -> Reviewed | None:
        """The answer that a review block goes on with; without a question it is a yes."""
        execution = self._execution
        if not execution.node.node.is_review:
            return None
        asked, decided = execution.asked, execution.decided
        if asked is None or decided is None:
            return Reviewed(approved=True, data=execution.data.get("data"), message="")
        data = decided.data if decided.edited else asked.data
        return Reviewed(approved=decided.approved, data=data, message=decided.message)
