"""Graphs, and what a user may store."""

GRAPH_NODES_MAX = 1_000
GRAPH_LINKS_MAX = 5_000
GRAPH_PINS_MAX = 10_000
"""Pins with a value of their own, over all nodes."""
GRAPH_ERRORS_MAX = 100
"""Problems listed in one refusal."""
PINS_NAMED_MAX = 20
"""Pins that a refusal names when it says which there are."""
GRAPH_VERSION_MAX = 2**31 - 1
GRAPHS_PER_USER = 1_000
VERSIONS_PER_GRAPH = 1_000
STORED_BYTES_PER_USER = 1024 * 1024 * 1024
"""Encoded size of all graph versions of a user, and of the large inputs of their runs."""
GRAPH_CYCLE_NODES_SHOWN_MAX = 20
"""Nodes of a cycle that its refusal names."""
LIST_PAD_MAX = 1_000
"""The highest list index that a pin name may assign, and so the nulls it may pad a list with."""
PATH_ITEMS_MAX = 10_000
"""Steps that the paths in the pin names of one node may have, and items of lists and objects that
they may copy, convert and pad with, in all, to build its input."""
GRAPH_PATH_STEPS_MAX = 20_000
"""Steps of the paths in all pin names of a graph, in those of its links too."""
