"""Everything that the log may hold: importing this module makes the registry of events whole."""

from __future__ import annotations

from domain import budgets, events, runs, storage, users
from domain import credits as accounts
from domain.graphs import graph as graphs

MODULES = (accounts, budgets, graphs, runs, storage, users)
"""Where events are defined."""

TOPICS = events.topics()
"""What can be read: the present version of every type, and the older ones."""
