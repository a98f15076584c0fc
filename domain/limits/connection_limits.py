"""Connections to the API."""

CONNECTIONS_MAX = 2_000
"""Connections of one API process, sockets among them,"""
CONNECTIONS_PER_ADDRESS = 500
"""and those of one address, or of one IPv6 network of 64 bits."""
HEALTH_CONNECTIONS_MAX = 32
"""Those beyond, which may ask for the health and learn that there is no place for anything else."""
CONNECTIONS_COMING_MAX = 1_024
"""Those that the kernel keeps until they are accepted,"""
ACCEPTED_IN_A_TURN = 8
"""of which so many are before all else has its turn."""
ACCEPT_AGAIN_SECONDS = 0.1
"""Where no descriptor is left and nobody can give way."""
DESCRIPTORS_KEPT = 64
"""Descriptors that no connection takes."""
TROUBLE_SECONDS = 10.0
"""What has not been met for this long is over."""
HEAD_SECONDS_MAX = 10.0
"""From a connection's beginning, or a request's first byte, to the end of its headers."""
HEAD_BYTES_MAX = 32 * 1024
HEADERS_MAX = 100
TARGET_BYTES_MAX = 16 * 1024
"""Path and query of a request."""
TRANSFER_BYTES_MIN = 64 * 1024
TRANSFER_SECONDS = 10.0
"""So much of a body must come within so long, or all that is left of it; and of an answer so much
must be taken."""
ANSWER_PIECE_BYTES = 32 * 1024
"""So much of an answer or a message is sent at once. Answers of one piece are not counted."""
BODY_FRAMING_BYTES_MAX = 1024 * 1024
"""What comes around the bytes of a body: sizes of chunks, their extensions, trailers."""
PIPELINED_MAX = 16
"""Requests that wait after another one of their connection; whoever sends more has to repeat
those."""
IDLE_SECONDS = 5
"""How long a connection stays open between requests."""
HANGUP_SECONDS_MAX = 5.0
"""How long a peer may take to read the last answer and to close."""
UNSENT_BYTES_MAX = 128 * 1024
"""What the kernel takes of an answer before the peer has room for it."""
