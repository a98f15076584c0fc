"""NATS, and what goes over it."""

NATS_PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
NATS_PENDING_BYTES_MAX = 32 * 1024 * 1024
"""Messages that wait in a process for whoever reads them; what comes beyond them is dropped."""
NATS_CONNECT_SECONDS_MAX = 2.0
NATS_ANSWER_SECONDS_MAX = 1.0
"""How long NATS may take to answer a question, or to take what is sent."""
NATS_MISSES_MAX = 2
"""Questions in a row that NATS may leave unanswered before its connection is replaced. After the
first one this process itself may have been too busy to hear."""
FEED_BATCH_EVENTS_MAX = 500
FEED_BATCH_BYTES_MAX = 512 * 1024
FEED_INBOX_BATCHES_MAX = 64
"""Batches that wait for the feed of an API process; what older ones said is read from the log."""
