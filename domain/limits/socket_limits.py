"""Live sockets."""

SOCKET_MESSAGE_BYTES_MAX = 64 * 1024
SOCKET_MESSAGES_PER_SECOND = 40
"""Messages that a peer may send in the long run,"""
SOCKET_MESSAGES_BURST = 400
"""and at once, as when it follows its runs again."""
SOCKET_USER_MESSAGES_PER_SECOND = 100
"""Messages of all sockets of a user that a process answers in the long run,"""
SOCKET_USER_MESSAGES_BURST = 200
"""and at once. More of them wait."""
SOCKET_RATES_KEPT_MAX = 10_000
"""Users of whom a process knows how much they have said."""
SOCKET_FRAMES_PER_SECOND = 400
"""Pings and pieces of messages that a peer may send in the long run,"""
SOCKET_FRAMES_BURST = 1_000
"""and at once."""
SOCKET_PIECE_BYTES = 2 * 1024
"""Of what a peer has sent, so much is read before it is counted: a frame has six bytes or more."""
SOCKET_BACKLOG_MESSAGES_MAX = 1_000
SOCKET_BACKLOG_BYTES_MAX = 16 * 1024 * 1024
SOCKET_HISTORY_EVENTS = 200
"""Events of a run that are read at once for a socket that follows it from behind."""
SOCKET_HISTORY_BYTES = 1024 * 1024
"""The event that brings a page of these to this size is its last."""
SOCKET_STALL_SECONDS_MAX = 10.0
"""How long a peer for whom much is waiting may take nothing of it before it is closed."""
SOCKET_CLOSE_SECONDS_MAX = 5.0
"""How long a peer may take to read what is under way to it before a close."""
SOCKETS_PER_USER_MAX = 50
SOCKETS_OPENED_PER_SECOND = 5
"""Sockets that a user may open in the long run,"""
SOCKETS_OPENED_BURST = 50
"""and at once."""
SOCKET_OPEN_SECONDS_MAX = 5.0
"""How long more of them wait before they are closed."""
SOCKET_USERS_REMEMBERED_MAX = 4_096
"""Users of whom a process knows how many sockets they have opened lately."""
SUBSCRIPTIONS_PER_SOCKET_MAX = 200
