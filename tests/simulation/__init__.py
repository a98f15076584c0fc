"""A whole installation in one thread, in virtual time, with every fault that a seed brings.

The executors, the relay with its dispatcher, the projector, the leaders' election and the sweeper
are the product's own code; what they run on is made here: an event loop that decides who moves
(`loop.py`), a database (`database.py`, `tables.py`, `statements.py`), an event log with the real
one's contract (`log.py`), a NATS (`nats.py`) and a service outside (`service.py`). `edges.py` says
what takes the place of what. `faults.py` does the harm, `people.py` start and stop runs, and
`checks.py` says what must have come of it.

`make simulate ARGS="--seeds 1000"`; the same seed gives the same trace.
"""
