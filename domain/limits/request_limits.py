"""Requests over HTTP and their answers."""

REQUEST_BYTES_MAX = 256 * 1024
"""Body of an ordinary request."""
GRAPH_BYTES_MAX = 4 * 1024 * 1024
"""Body of a request that carries a graph."""
IDEMPOTENCY_KEY_CHARS_MAX = 255
PATH_BYTES_MAX = 1_024
SEGMENT_BYTES_MAX = 255
"""One name in a path."""
PAGE_SIZE_MAX = 100
PAGE_MAX = 100_000
EXECUTIONS_LISTED_MAX = 250
GRAPHS_LISTED_MAX = 250
LIST_PAGE_BYTES = 4 * 1024 * 1024
"""JSON of a list of graphs or of versions. The one that fills it up still belongs to it."""
EXECUTIONS_PAGE = 5_000
"""Node executions in one answer about a run, unless fewer are asked for. A client that knows of no
pages still sees all but the longest runs whole, and an answer still costs bounded memory."""
EXECUTIONS_PAGE_BYTES = 8 * 1024 * 1024
"""JSON of the node executions in one answer; of one that alone has more, values are left out."""
OUTPUTS_PAGE_BYTES = 4 * 1024 * 1024
"""JSON of a run's outputs, and of its inputs, in one answer; one that has more is left out."""
RUN_PAGE_BYTES = EXECUTIONS_PAGE_BYTES + 2 * OUTPUTS_PAGE_BYTES
"""So all that is large in one answer about a run."""
RUN_LIGHT_BYTES = 256 * 1024
"""Whoever looks at more of a run than this waits for a turn,"""
RUNS_LOOKED_AT_ONCE = 4
"""of which an API process has so many, or its memory would not do. Users take turns."""
RUNS_LOOKED_AT_PER_USER = 3
"""So that one user's long runs leave a place to others."""
WAITING_LISTED_MAX = 100
"""Executions and nodes of a run of which one answer says what they wait for."""
WAITING_PINS_MAX = 5_000
"""The one whose linked pins bring those of an answer to this number is the last of these."""
STOP_ANSWER_SECONDS_MAX = 15.0
"""How long a stop waits for the end of the run before it answers how the run stands."""
RUNS_CONTROLLED_AT_ONCE = 100
"""Runs of a graph that are paused or resumed side by side."""
REVIEW_REQUEST_BYTES_MAX = 4 * 1024 * 1024
"""Body of a request that decides reviews."""
REVIEWS_DECIDED_MAX = 500
"""Reviews that one request decides."""
READ_YOUR_WRITES_SECONDS_MAX = 2.0
READ_SECONDS_MAX = 3.5
"""How long a statement may take that a request waits for."""
TOKEN_LEEWAY_SECONDS = 30
TOKEN_LOOK_SECONDS = 60.0
"""How often a socket looks at the wall clock whether its token still counts."""
TOKENS_REMEMBERED_MAX = 4_096
"""Verified tokens that an API process does not verify again."""
JWT_SECRET_BYTES_MIN = 32
