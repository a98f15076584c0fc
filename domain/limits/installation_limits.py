"""What an installation on one machine is measured by."""

DISK_FREE_BYTES_LOW = 2 * 1024 * 1024 * 1024
"""With less room than this somebody should make some: the database alone keeps so much WAL,"""
DISK_FREE_BYTES_MIN = 256 * 1024 * 1024
"""and with less than this it is about to refuse what is written."""
HEALTH_ANSWER_BYTES_MAX = 64 * 1024
"""Whoever says more about its health is no API of ours."""
