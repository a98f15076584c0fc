"""Everything that the log may hold: importing this module makes the registry of events whole."""

from __future__ import annotations

from domain import credits as accounts
from domain import events, graphs, runs, storage, users

MODULES = (accounts, graphs, runs, storage, users)
"""Where events are defined."""

TOPICS = events.topics()
"""What can be read: the present version of every type, and the older ones."""
