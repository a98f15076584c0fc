"""What errors of the database mean for whoever asked something of it: one table, by SQLSTATE.

Whatever is not in it is a mistake of ours or damage, and no reason to try again.
"""

from __future__ import annotations

import psycopg

from domain.errors import ReadOnly, StorageFull, Unavailable

AWAY = "The database does not answer."
FULL = "The database has no room left to write."
READ_ONLY = "The database takes no changes now."
BUSY = "The database has too much to do."
CONTENDED = "Others held what was needed for too long."
SLOW = "The database took too long."
BROKEN = "The database cannot read or write its files."

OUTAGES: dict[str, tuple[type[Unavailable], str]] = {
    "08": (Unavailable, AWAY),
    "25006": (ReadOnly, READ_ONLY),
    "25P03": (Unavailable, SLOW),
    "25P04": (Unavailable, SLOW),
    "40": (Unavailable, CONTENDED),
    "53": (Unavailable, BUSY),
    "53100": (StorageFull, FULL),
    "55P03": (Unavailable, CONTENDED),
    "57": (Unavailable, AWAY),
    "57014": (Unavailable, SLOW),
    "58": (Unavailable, BROKEN),
}
"""By SQLSTATE or by its class, which is its first two characters."""

UNANSWERED = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError)
"""What is raised without a word of the server; the pool's errors are among them."""


def of(error: Exception) -> Unavailable | None:
    """The refusal that an error amounts to; None if repeating the request would not help."""
    if isinstance(error, Unavailable):
        return error
    state = getattr(error, "sqlstate", None)
    if state is None:
        return Unavailable(AWAY) if isinstance(error, UNANSWERED) else None
    found = OUTAGES.get(state) or OUTAGES.get(state[:2])
    if found is None:
        return None
    kind, message = found
    return kind(message)
