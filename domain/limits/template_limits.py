"""Templates."""

CHARS_MAX = 20_000
OUTPUT_CHARS_MAX = 1_000_000
SECONDS_MAX = 1.0
"""Of a processor's time."""
LATE_SECONDS_MAX = 3.0
"""Of anybody's: others may have the processor meanwhile."""
MEMORY_BYTES_MAX = 256 * 1024 * 1024
INLINE_TOKENS_MAX = 400
"""A longer template is rendered in a process of its own, like one that can loop."""
INLINE_DEPTH_MAX = 16
INLINE_WORK_MAX = 500_000
"""Tokens of a template times characters of its values, for the same."""
ELEMENT_CHARS = 8
"""How many characters of a text take as long to print as one element of a list or object."""
CACHE_MAX = 256
FAILURE_CHARS_MAX = 2_000
ANSWER_BYTES_MAX = 6 * OUTPUT_CHARS_MAX + 1_000
"""An answer as it is sent: a character that JSON escapes has six bytes."""
PROCESSES_MAX = 2
PROCESSES_PER_USER = 1
ANSWER_SECONDS_MAX = 10.0
"""After this a process that renders is given up; the template itself has SECONDS_MAX."""
