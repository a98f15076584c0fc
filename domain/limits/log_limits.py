"""The event log, and what is kept beside it."""

APPEND_EVENTS_MAX = 2_000
"""Events of one append."""
APPEND_BYTES_MAX = 8 * 1024 * 1024
APPEND_BATCH_APPENDS_MAX = 128
"""Appends of one batch. More would make all callers wait for one commit and then all compute at
once; with this many the next batch fills while the last one is being written."""
APPEND_BATCH_EVENTS_MAX = 400
"""Events of one batch, but for an append that has more by itself: while the database writes some,
the runs of those before compute."""
APPEND_QUEUE_MAX = 4_096
"""Appends that wait for the writer; more wait at the door."""
APPEND_SECONDS_MAX = 5.0
"""After this long without an answer of the database, an append's outcome is called unknown."""
APPEND_SILENCE_SECONDS_MAX = 3.0
"""After this long without an answer the connection is given up, and another one tried."""
APPEND_LOCK_SECONDS_MAX = 2
"""How long an append waits for a lock that somebody else holds."""
ANNOUNCE_SECONDS = 0.01
"""How long who follows the log may not hear of an append that can wait."""
APPEND_STREAMS_KNOWN_MAX = 10_000
"""Streams of which a writer remembers how far it wrote them; of others the server looks. With the
names of runs these are about 2 MB."""
READ_PAGE_EVENTS = 5_000
READ_PAGE_BYTES = 8 * 1024 * 1024
"""The event that fills a page up still belongs to it."""
STREAM_PAGE_EVENTS = 500
STREAM_PAGE_BYTES = 1024 * 1024
"""The event that brings a page of a stream to this size is its last."""
STREAM_READS_MAX = 64
"""Pages of streams that one statement reads,"""
STREAM_READS_EVENTS = 4_000
STREAM_READS_BYTES = 8 * 1024 * 1024
"""and what they share: more than so much at once would hold up whoever else waits."""
CONFLICT_SECONDS_MAX = 5.0
"""How long a command decides anew because somebody else wrote first."""
LOCK_SECONDS_MAX = 5.0
"""How long a command that lost a race waits behind the others that did."""
STATE_CACHE_STREAMS_MAX = 2_048
"""Folded streams, graph versions, or what else is small, that a process keeps."""
RECEIPT_KEEP_SECONDS = 7 * 24 * 3600
RECEIPTS_PORTION = 1_000
"""Receipts that one statement deletes."""
RECEIPTS_REST_SECONDS = 0.05
"""Pause after each of these statements."""
SNAPSHOT_EVENTS = 5_000
"""So many events behind its last snapshot, a run in hand gets another one."""
SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024
"""A run whose state is larger is read from its beginning again."""
CHECKPOINT_EVENTS = 1_500
CHECKPOINT_EVENT_BYTES = 4 * 1024 * 1024
"""After so many events, or so large ones, a run that somebody looks at gets another checkpoint,
if they are also larger than the last one: what is kept of a run is no more than its stream."""
CHECKPOINT_KEEP_SECONDS = 7 * 24 * 3600
"""How long the checkpoints of a run are kept that nobody looks at."""
CHECKPOINT_STREAMS_DELETED = 16
"""Runs whose checkpoints are deleted, for one that gets its first: more goes than comes."""
