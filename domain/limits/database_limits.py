"""Connections to the database."""

DATABASE_STATEMENT_SECONDS_MAX = 30
DATABASE_GRACE_SECONDS = 1.0
"""After so much more a server that has not ended a statement is given up."""
DATABASE_LOCK_SECONDS_MAX = 5
DATABASE_SILENCE_SECONDS_MAX = 5
"""A line on which nothing is acknowledged for this long is broken."""
DATABASE_RECONNECT_SECONDS_MAX = 2.0
DATABASE_POOL_CONNECTIONS_MAX = 8
DATABASE_AGAIN_SECONDS = 0.2
"""After this long a run in hand asks a database again that did not answer."""
