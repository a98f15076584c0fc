"""Runs and their node executions."""

RUN_STEPS_MAX = 100_000
"""Node executions of one run of a graph without cycles, and of all its sub-graphs."""
CYCLIC_RUN_STEPS_MAX = 10_000
"""The same, of a graph with cycles."""
RUN_WAITING_MAX = 50_000
"""Node executions of one run that have not got all their inputs."""
ROUTE_PORTION = 2_000
"""Deliveries after which whoever routes many lets others have their turn,"""
ROUTE_SECONDS = 0.005
"""as after this long."""
STEP_THROUGH_ITEMS_MAX = 10_000
NODE_OUTPUTS_MAX = 20_000
"""Values that one node execution may yield."""
NODE_OUTPUT_BYTES_MAX = 4 * 1024 * 1024
"""Encoded size of all the values of one node execution."""
WAIT_SECONDS_MAX = 30 * 24 * 3600
POLICY_ATTEMPTS_MAX = 100
"""Attempts of one node execution that its policy may ask for."""
POLICY_FACTOR_MAX = 10.0
"""By which the pause before each further attempt may grow."""
POLICY_PAUSE_SECONDS_MIN = 0.25
"""Between two attempts of a node execution, whatever its policy says: others must have their turn,
here and at the server that does not answer."""
POLICY_PAUSE_SECONDS_MAX = 24 * 3600
POLICY_TIMEOUT_SECONDS_MIN = 0.001
POLICY_TIMEOUT_SECONDS_MAX = 24 * 3600
RUN_SECONDS_MAX = 366 * 24 * 3600
"""Wall time that a run may be given as its budget."""
RUN_CREDITS_MAX = 10**9
"""Credits that a run may be given as its budget."""
SUB_GRAPHS_CHECKED_MAX = 1_000
"""Sub-graphs of a graph, and theirs, that the start of a run looks at."""
RUNS_STOPPED_AT_ONCE = 64
"""Sub-graphs of a run that are stopped side by side."""
FORK_DEPTH_MAX = 32
"""Forks of forks: each has to be read to know the last one."""
CHILD_DEPTH_MAX = 16
"""Sub-graphs inside sub-graphs."""
DESCENDANTS_MAX = 2_000
"""Sub-graphs of a run, and theirs, in all: they multiply at each level."""
REVIEW_DATA_BYTES_MAX = 1024 * 1024
"""Encoded size of the data that a reviewer hands back."""
REVIEW_DATA_DEPTH_MAX = 10
REVIEW_MESSAGE_CHARS_MAX = 2_000
