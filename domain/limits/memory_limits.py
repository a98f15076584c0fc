"""Bounds of what processes have in memory, in bytes unless their names say otherwise.

What something takes is estimated (`domain/json_values.py`, `domain/engine/weights.py`): it is
hardly ever more, and for texts and structs up to three times less.
"""

BODY_VALUES_MAX = 250_000
"""Values of the JSON in the body of a request, each of which takes about a hundred bytes."""
TEXT_VALUES_MAX = 100_000
"""Values of the JSON that a text holds, for it to be read where a list or an object is wanted."""
LARGE_BODIES_AT_ONCE = 4
"""Requests with bodies beyond REQUEST_BYTES_MAX that an API process works on,"""
LARGE_BODIES_AT_ONCE_PER_USER = 1
"""and those of one user: each takes time in which nobody else has their turn."""
LARGE_BODY_REST_SECONDS_MAX = 0.5
"""After one its place rests for as long as it took, or for this long."""
LARGE_BODIES_COMING = 32
"""Such requests of which it has the body in memory, or a part of it that is large already,"""
LARGE_BODIES_COMING_PER_USER = 8
"""and those of one user."""
STATE_CACHE_BYTES_MAX = 32 * 1024 * 1024
"""Folded streams that a process keeps."""
PLAN_ITEMS_MAX = 20_000
"""Steps and items of which inputs are built once for a graph version; what is beyond them is built
anew for each execution. They have no weight, being at most a hundred bytes each."""
PLANS_KEPT_BYTES_MAX = 64 * 1024 * 1024
"""Graph versions that a process keeps."""
PLAN_LIGHT_BYTES = 1024 * 1024
"""A graph version that takes more is not kept, and has to find room:"""
PLANS_HEAVY_BYTES_MAX = 64 * 1024 * 1024
"""all of these that are in hand take no more than this,"""
PLANS_HEAVY_BYTES_PER_USER = PLANS_HEAVY_BYTES_MAX // 2
"""and those of one user no more than this, unless one alone does."""
ROOM_SECONDS_MAX = 5.0
"""How long one waits for room,"""
ROOM_COLLECT_SECONDS = 5.0
"""and how often it is looked for meanwhile among what is in cycles, which stops everything."""
ROOM_LOOK_SECONDS = 0.5
"""How often an answer that waits for room looks whether its peer has read."""
ROOM_AGAIN_SECONDS = 3.0
"""How long a run is suspended that found no room for a sub-graph: so long, and up to twice that."""
RUN_BYTES_MAX = 256 * 1024 * 1024
"""What a run holds in memory while it is driven, its graph not included. One that holds more fails.
It is weighed when so much may have come in since the last time,"""
RUN_WEIGHED_BYTES_MIN = 32 * 1024 * 1024
"""and no earlier than after this."""
SNAPSHOT_WEIGHT_MAX = 64 * 1024 * 1024
"""A run that holds more is not even encoded to see how large its snapshot would be."""
RUNS_REMEMBERED_BYTES_MAX = 64 * 1024 * 1024
"""Suspended runs that an executor keeps, their graphs included,"""
RUN_REMEMBERED_BYTES_MAX = 8 * 1024 * 1024
"""and one of them. One that takes more is read again."""
ANSWERS_BYTES_MAX = 128 * 1024 * 1024
"""Answers to requests that peers have not read yet, in one API process, small ones apart. One user
alone gets half of it (`runtime/backlog.py`)."""
MESSAGES_BYTES_MAX = 64 * 1024 * 1024
"""The same of messages to sockets."""
MESSAGES_LIGHT_BYTES = 32 * 1024
"""A socket that has no more than this waits for no other socket of its user."""
API_MEMORY_BYTES_MAX = 4 * 1024 * 1024 * 1024
"""Address space of an API process. That of an executor stands with the limits of workers."""
LARGE_BLOCK_BYTES = 256 * 1024
"""A block of memory of this size goes back to the system when it is free."""
GARBAGE_OBJECTS = 10_000
"""Objects that a process makes and keeps before it looks for cycles among them."""
