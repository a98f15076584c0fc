"""Runs, which the contract calls executions: started, shown, controlled and forked."""

from __future__ import annotations

from api.runs import control, forks, runs

handlers = [*runs.handlers, *control.handlers, *forks.handlers]
