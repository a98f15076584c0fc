"""Processes, their health and their logs."""

RESTART_SECONDS_MIN = 0.05
RESTART_SECONDS_MAX = 2.0
"""Pause before a process that died is started again, doubling from the one to the other."""
RESTART_RESET_SECONDS = 10.0
"""A process that lived this long starts at the shortest pause again."""
BOOT_DEATHS_MAX = 3
"""A process that dies this often before the API answers fails the start."""
START_POLL_SECONDS = 0.01
"""How often a starting process is asked whether it is ready."""
HEALTH_ANSWER_SECONDS_MAX = 2.0
"""How long who asks an API for its health waits."""
HEALTH_SECONDS_MAX = 1.5
"""How long the API itself waits for whom it asks then."""
HEALTH_FRESH_SECONDS = 1.0
"""How long what was found out then is told again."""
BEHIND_SECONDS_MAX = 5.0
"""How long an event may wait for the projector or the relay before they are called behind."""
LOOP_TERMS = 3
LOOP_SECONDS = 60.0
"""A projector or relay that began so often within so long, and came no further, is looping."""
STOP_SECONDS_MAX = 5.0
"""How long a process may take to stop before it is killed."""
LINGER_SECONDS_MAX = 2.0
"""How long the server of an earlier start may take to end by itself before it is told to."""
WAIT_SILENT_SECONDS = 1.0
"""A start that waits for this long says for what,"""
WAIT_SAID_SECONDS = 5.0
"""and again each time after this long."""
SOCKET_FOLDER_BYTES_MAX = 85
"""A socket's whole path has at most 103 bytes on macOS and 107 on Linux."""
LOG_BYTES_MAX = 16 * 1024 * 1024
"""A log file beyond this is set aside."""
LOG_LOOK_SECONDS = 1.0
"""How often the supervisor looks whether one is."""
LOG_LINE_CHARS_MAX = 16 * 1024
"""A longer line says no more than what it was about."""
LOG_TEXT_CHARS_MAX = 4_000
"""Of a longer text in a line the middle is left out."""
LOG_KIND_CHARS_MAX = 100
LOG_REPEATS_MAX = 20
"""Lines of one kind a second; of more only the number is told."""
LOG_TAIL_LINES_MAX = 8
LOG_TAIL_BYTES_MAX = 4 * 1024
TOKEN_SECONDS = 24 * 3600
"""Validity of a token that we sign ourselves."""
