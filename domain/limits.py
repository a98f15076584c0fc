"""Every bound of Evergraph, by name and unit. Hitting one is a typed error, never a hang."""

# --- values and documents -------------------------------------------------------------------
REQUEST_BYTES_MAX = 256 * 1024
"""Body of an ordinary request."""
GRAPH_BYTES_MAX = 4 * 1024 * 1024
"""Body of a request that carries a graph."""
JSON_DEPTH_MAX = 64
"""Nesting of any JSON value that enters or that a block yields."""
NAME_CHARS_MAX = 500
TEXT_CHARS_MAX = 20_000
"""Descriptions and instructions."""
ID_CHARS_MAX = 128
IDEMPOTENCY_KEY_CHARS_MAX = 255
JSON_INTEGER_MAX = 2**63 - 1

# --- graphs ---------------------------------------------------------------------------------
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

# --- runs -----------------------------------------------------------------------------------
RUN_STEPS_MAX = 100_000
"""Node executions of one run of a graph without cycles, and of all its sub-graphs."""
CYCLIC_RUN_STEPS_MAX = 10_000
"""The same, of a graph with cycles."""
RUN_WAITING_MAX = 50_000
"""Node executions of one run that have not got all their inputs."""
ROUTE_PORTION = 2_000
"""Deliveries after which whoever routes many lets others have their turn,"""
ROUTE_SECONDS = 0.005
"""as after this long."""
STEP_THROUGH_ITEMS_MAX = 10_000
NODE_OUTPUTS_MAX = 20_000
"""Values that one node execution may yield."""
NODE_OUTPUT_BYTES_MAX = 4 * 1024 * 1024
"""Encoded size of all the values of one node execution."""
WAIT_SECONDS_MAX = 30 * 24 * 3600
POLICY_ATTEMPTS_MAX = 100
"""Attempts of one node execution that its policy may ask for."""
POLICY_FACTOR_MAX = 10.0
"""By which the pause before each further attempt may grow."""
POLICY_PAUSE_SECONDS_MIN = 0.25
"""Between two attempts of a node execution, whatever its policy says: others must have their turn,
here and at the server that does not answer."""
POLICY_PAUSE_SECONDS_MAX = 24 * 3600
POLICY_TIMEOUT_SECONDS_MIN = 0.001
POLICY_TIMEOUT_SECONDS_MAX = 24 * 3600
ERROR_CHARS_MAX = 2_000
"""Message of a refusal, of one problem in it, or of a failure."""
RUN_SECONDS_MAX = 366 * 24 * 3600
"""Wall time that a run may be given as its budget."""
RUN_CREDITS_MAX = 10**9
"""Credits that a run may be given as its budget."""
SUB_GRAPHS_CHECKED_MAX = 1_000
"""Sub-graphs of a graph, and theirs, that the start of a run looks at."""
RUNS_STOPPED_AT_ONCE = 64
"""Sub-graphs of a run that are stopped side by side."""
FORK_DEPTH_MAX = 32
"""Forks of forks: each has to be read to know the last one."""
CHILD_DEPTH_MAX = 16
"""Sub-graphs inside sub-graphs."""
DESCENDANTS_MAX = 2_000
"""Sub-graphs of a run, and theirs, in all: they multiply at each level."""

# --- event log ------------------------------------------------------------------------------
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
VALUE_INLINE_BYTES_MAX = 64 * 1024
"""A value whose JSON is larger is stored by its hash and not in the event."""
VALUE_SHOWN_BYTES_MAX = 256 * 1024
"""A larger value is shown by reference. What a request can carry an answer carries too."""
VALUE_PIECE_BYTES = 256 * 1024
"""Of a value that is fetched alone, so much is in memory at once."""
VALUE_STATEMENT_BYTES = 8 * 1024 * 1024
"""The value that brings a statement to this size is its last."""
CONFLICT_SECONDS_MAX = 5.0
"""How long a command decides anew because somebody else wrote first."""
TURN_SECONDS_MAX = 5.0
"""How long a command that lost a race waits behind the others that did."""
STATE_CACHE_STREAMS_MAX = 2_048
"""Folded streams, graph versions, or what else is small, that a process keeps."""
RECEIPT_KEEP_SECONDS = 7 * 24 * 3600
RECEIPTS_PORTION = 1_000
"""Receipts that one statement deletes."""
RECEIPTS_REST_SECONDS = 0.05
"""Pause behind each of these statements."""
DATABASE_STATEMENT_SECONDS_MAX = 30
DATABASE_GRACE_SECONDS = 1.0
"""After so much more a server that has not ended a statement is given up."""
DATABASE_LOCK_SECONDS_MAX = 5
DATABASE_SILENCE_SECONDS_MAX = 5
"""A line on which nothing is acknowledged for this long is broken."""
DATABASE_RECONNECT_SECONDS_MAX = 2.0
DATABASE_POOL_CONNECTIONS_MAX = 8
DATABASE_AGAIN_SECONDS = 0.2
"""After this long a run in hand asks a database again that did not answer."""

# --- workers --------------------------------------------------------------------------------
EXECUTOR_RUNS_MAX = 256
"""Runs that one executor process drives at once."""
EXECUTOR_MEMORY_BYTES_MAX = 4 * 1024 * 1024 * 1024
"""Address space of an executor."""
EXECUTOR_NODES_PER_RUN_MAX = 512
"""Effects of one run in flight at once."""
RUN_FLUSH_EVENTS = 256
"""A run of pure nodes makes its results durable at least this often."""
RUN_FLUSH_BYTES = 1024 * 1024
RUN_CRASHES_MAX = 3
"""A run that made its driver fail this often is failed itself."""
SUSPECT_DEATHS = 2
"""A run over which this many workers died in a row is driven beside few others like it."""
SUSPECTS_TOGETHER_MAX = 8
WATCH_SECONDS = 1.0
"""After this long without a death, others under suspicion may begin beside it."""
ALONE_DEATHS = 3
"""From this many deaths on, it is the only one under suspicion that its worker drives."""
ALONE_SECONDS = 4.0
ALONE_SECONDS_MAX = 64.0
"""How long it stays the only one, doubling with each death from the one to the other."""
ALONE_DEATHS_MAX = 2
"""A run, or an effect of it, over which this many workers died while it was the only one under
suspicion is given up."""
DEATHS_MAX = 12
"""The same, of workers that died later, when others were in hand too."""
LOSSES_MAX = 32
"""So many workers that were lost over a run are remembered by name."""
RUN_LOADS_MAX = 3
"""How often an executor tries to load a run before it parks it."""
PARK_SECONDS_MIN = 10.0
PARK_SECONDS_MAX = 3600.0
"""How long a parked run is left alone, doubling from the one to the other."""
RUNS_REMEMBERED_MAX = 1_024
"""Resting runs whose state an executor keeps, in case they wake up."""
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
RUN_SLEEP_SECONDS_MIN = 1.0
"""A run that only waits, and at least this long, gives its place in the executor to others."""
RUN_HOLD_SECONDS = 30.0
"""How long a run stays in hand that was rung for before its moment."""
LEAVE_SECONDS = 2.0
"""How long an executor that is told to end waits for what is at work."""
LEAVE_SECONDS_MAX = 2.0
"""How long it may then take to say of its runs that they are free."""
CLEAN_UP_SECONDS_MAX = 1.0
"""How long what is given up may take to clean up before its run is let go of."""
LEASE_SECONDS = 3.0
"""An executor that has not renewed its lease for this long has lost its runs."""
LEASE_RENEW_SECONDS = 1.0
STRAYS_SECONDS = 5.0
"""How often an executor looks for runs that are its own and that it has not in hand; two looks in a
row decide."""
LEASE_KEEP_SECONDS = 24 * 3600
"""How long the lease of an executor that was killed is kept after it ran out."""
LEADER_LEASE_SECONDS = 5.0
"""A projector or relay that has not renewed its lease for this long has lost its role. For so long,
too, it may leave a transaction alone."""
LEADER_RENEW_SECONDS = 1.0
LEADER_STEP_SECONDS_MAX = 60.0
"""For so long a leader may work on one page of the log; then it hangs, and another follows it."""
HEARTBEAT_ANSWER_SECONDS_MAX = 1.5
"""A renewal waits so long at most, so that after it there is time for another one."""
HEARTBEAT_LOOK_SECONDS = 0.25
"""How often somebody looks whether one waits for longer."""
RUNS_PER_USER = 100
"""Runs of one user that workers have in hand, or are rung for, at once."""
RUNS_PER_GRAPH = 64
"""The same, of one user's runs of one graph."""
BYTES_PER_USER = 32 * 1024 * 1024
"""Events and values that the runs of one user write in a second in the long run."""
DISPATCH_WINDOW = 256
"""Runs that are rung for and not yet claimed. The rest waits where it is shared out fairly."""
DISPATCH_AGAIN_SECONDS = 2.0
"""After this long a bell that is neither claimed nor waiting with the broker is lost."""
SWEEP_SECONDS = 1.0
SWEEP_RUNS_MAX = 1_000
"""Rows that the sweeper looks at in one go; the next go begins behind them."""
SWEEP_PAGES_MAX = 20
"""Pages of the log that the sweeper reads in one go where the read models are behind."""
SWEEP_FORGOTTEN_SECONDS = 5.0
"""How often the sweeper looks for runs that nobody rang for; two looks in a row decide."""
SWEEP_AGAIN_SECONDS = 2.0
"""After this long a bell of the sweeper's that did not help and does not wait is lost."""
BELL_STATE_BYTES_MAX = 16 * 1024
"""A bell for a new run brings its creation along if that is no larger."""
BELL_ACK_SECONDS = 60
BELL_KEEP_SECONDS = 24 * 3600
BELL_STALE_SECONDS = 10.0
"""After this long a bell in the database is taken for one whose run has been found without it."""
NATS_PAYLOAD_BYTES_MAX = 8 * 1024 * 1024
NATS_PENDING_BYTES_MAX = 32 * 1024 * 1024
"""Messages that wait in a process for whoever reads them; what comes beyond them is dropped."""
NATS_CONNECT_SECONDS_MAX = 2.0
NATS_ANSWER_SECONDS_MAX = 1.0
"""How long NATS may take to answer a question, or to take what is sent."""
NATS_MISSES_MAX = 2
"""Questions in a row that NATS may leave unanswered before its connection is replaced. After the
first one this process itself may have been too busy to hear."""
POLL_SECONDS = 1.0
"""The net under every notification."""
RELAY_REST_SECONDS_MAX = 0.005
"""The relay rests behind a page for twice as long as that took, and no longer than this."""
PROJECT_REST_SECONDS = 0.02
"""The projector rests behind a page that has not filled up."""
FEED_BATCH_EVENTS_MAX = 500
FEED_BATCH_BYTES_MAX = 512 * 1024
FEED_INBOX_BATCHES_MAX = 64
"""Batches that wait for the feed of an API process; what older ones said is read from the log."""

# --- edge -----------------------------------------------------------------------------------
PATH_BYTES_MAX = 1_024
SEGMENT_BYTES_MAX = 255
"""One name in a path."""
PAGE_SIZE_MAX = 100
PAGE_MAX = 100_000
EXECUTIONS_LISTED_MAX = 250
GRAPHS_LISTED_MAX = 250
LIST_PAGE_BYTES = 4 * 1024 * 1024
"""JSON of a list of graphs or of versions. The one that fills it up still belongs to it."""
EXECUTIONS_PAGE = 5_000
"""Node executions in one answer about a run, unless fewer are asked for. A client that knows of no
pages still sees all but the longest runs whole, and an answer still costs bounded memory."""
EXECUTIONS_PAGE_BYTES = 8 * 1024 * 1024
"""JSON of the node executions in one answer; of one that alone has more, values are left out."""
OUTPUTS_PAGE_BYTES = 4 * 1024 * 1024
"""JSON of a run's outputs, and of its inputs, in one answer; one that has more is left out."""
RUN_PAGE_BYTES = EXECUTIONS_PAGE_BYTES + 2 * OUTPUTS_PAGE_BYTES
"""So all that is large in one answer about a run."""
RUN_LIGHT_BYTES = 256 * 1024
"""Whoever looks at more of a run than this waits for a turn,"""
RUNS_LOOKED_AT_ONCE = 4
"""of which an API process has so many, or its memory would not do. Users take turns."""
RUNS_LOOKED_AT_PER_USER = 3
"""So that one user's long runs leave a place to others."""
WAITING_LISTED_MAX = 100
"""Executions and nodes of a run of which one answer says what they wait for."""
WAITING_PINS_MAX = 5_000
"""The one whose linked pins bring those of an answer to this number is the last of these."""
STOP_ANSWER_SECONDS_MAX = 15.0
"""How long a stop waits for the end of the run before it answers how the run stands."""
RUNS_CONTROLLED_AT_ONCE = 100
"""Runs of a graph that are paused or resumed side by side."""
REVIEW_REQUEST_BYTES_MAX = 4 * 1024 * 1024
"""Body of a request that decides reviews."""
REVIEWS_DECIDED_MAX = 500
"""Reviews that one request decides."""
REVIEW_DATA_BYTES_MAX = 1024 * 1024
"""Encoded size of the data that a reviewer hands back."""
REVIEW_DATA_DEPTH_MAX = 10
REVIEW_MESSAGE_CHARS_MAX = 2_000
READ_YOUR_WRITES_SECONDS_MAX = 2.0
READ_SECONDS_MAX = 3.5
"""How long a statement may take that a request waits for."""
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
GARBAGE_OBJECTS = 10_000
"""Objects that a process makes and keeps before it looks for cycles among them."""
TOKEN_LEEWAY_SECONDS = 30
TOKEN_LOOK_SECONDS = 60.0
"""How often a socket looks at the wall clock whether its token still counts."""
TOKENS_REMEMBERED_MAX = 4_096
"""Verified tokens that an API process does not verify again."""
JWT_SECRET_BYTES_MIN = 32
