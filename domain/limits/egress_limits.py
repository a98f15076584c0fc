"""Talking to servers outside."""

REQUEST_BYTES_MAX = 1024 * 1024
"""The body of a request, as it is sent."""
RESPONSE_BYTES_MAX = 1024 * 1024
PIECES_MAX = 16 * 1024
"""Chunks of an answer, each of which takes time, however small it is."""
PIECES_PORTION = 32
"""Chunks after which others have their turn."""
HEADERS_BYTES_MAX = 32 * 1024
"""Names and values of all headers of an answer."""
HEAD_BYTES_MAX = 64 * 1024
"""What may come before an answer's headers are complete, with all interim answers."""
CONTENT_TYPE_CHARS_MAX = 1_000
"""A longer header says nothing about the content."""
SECONDS_MAX = 60.0
CONNECT_SECONDS_MAX = 10.0
NAME_SECONDS_MAX = 5.0
"""How long the servers have to say which addresses a name has."""
NAME_KNOWN_SECONDS_MAX = 5.0
"""How long what they said is believed, also that there is no such name."""
NAMES_KNOWN_MAX = 1_024
NAME_ANSWER_BYTES_MAX = 1_232
"""What fits into one datagram anywhere: about 70 addresses. Of more the others are left out."""
NAMES_ASKED_MAX = 64
"""Names that are looked up at once."""
NAMES_ASKED_PER_USER = 16
REDIRECTS_MAX = 5
CONNECTIONS_MAX = 256
CONNECTIONS_PER_USER = 64
IDLE_CONNECTIONS_MAX = 32
IDLE_SECONDS_MAX = 5.0
