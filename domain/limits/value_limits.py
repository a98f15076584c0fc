"""Values: JSON, texts, names, numbers, and what is stored apart from events."""

JSON_DEPTH_MAX = 64
"""Nesting of any JSON value that enters or that a block yields."""
NAME_CHARS_MAX = 500
TEXT_CHARS_MAX = 20_000
"""Descriptions and instructions."""
ID_CHARS_MAX = 128
JSON_INTEGER_MAX = 2**63 - 1
ERROR_CHARS_MAX = 2_000
"""Message of a refusal, of one problem in it, or of a failure."""
VALUE_INLINE_BYTES_MAX = 64 * 1024
"""A value whose JSON is larger is stored by its hash and not in the event."""
VALUE_SHOWN_BYTES_MAX = 256 * 1024
"""A larger value is shown by reference. What a request can carry an answer carries too."""
VALUE_PIECE_BYTES = 256 * 1024
"""Of a value that is fetched alone, so much is in memory at once."""
VALUE_STATEMENT_BYTES = 8 * 1024 * 1024
"""The value that brings a statement to this size is its last."""
