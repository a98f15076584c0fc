"""The statements of the workers and of the read model of runs, as work on the tables.

Each does what its `.sql` file says. They are found by their text, so one that is changed there is
missed here.
"""

from __future__ import annotations

from tests.simulation.statements import events, leases, run_rows
from tests.simulation.statements.session import Session, Work

__all__ = ["Session", "find"]

_WORK = {
    " ".join(statement.split()): work
    for statement, work in {**leases.WORK, **events.WORK, **run_rows.WORK}.items()
}


def find(statement: str) -> Work:
    """Raises KeyError for what nobody has written down here."""
    return _WORK[" ".join(statement.split())]
