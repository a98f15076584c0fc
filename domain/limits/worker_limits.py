"""Worker processes: executors, leaders, the dispatcher and the sweeper."""

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
"""Suspended runs whose state an executor keeps, in case they wake up."""
RUN_SLEEP_SECONDS_MIN = 1.0
"""A run that only waits, and at least this long, gives its place in the executor to others."""
RUN_HOLD_SECONDS = 30.0
"""How long a run stays in hand that was woken up before its moment."""
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
"""Runs of one user that workers have in hand, or have a wake-up under way, at once."""
RUNS_PER_GRAPH = 64
"""The same, of one user's runs of one graph."""
BYTES_PER_USER = 32 * 1024 * 1024
"""Events and values that the runs of one user write in a second in the long run."""
DISPATCH_WINDOW = 256
"""Runs with a wake-up under way that are not yet claimed. The others wait in the fair queue."""
DISPATCH_AGAIN_SECONDS = 2.0
"""After this long a wake-up that is neither claimed nor waiting with the broker is lost."""
SWEEP_SECONDS = 1.0
SWEEP_RUNS_MAX = 1_000
"""Rows that the sweeper looks at in one go; the next go begins behind them."""
SWEEP_PAGES_MAX = 20
"""Pages of the log that the sweeper reads in one go where the read models are behind."""
SWEEP_FORGOTTEN_SECONDS = 5.0
"""How often the sweeper looks for runs that nobody woke up; two looks in a row decide."""
SWEEP_AGAIN_SECONDS = 2.0
"""After this long a wake-up of the sweeper's that did not help and does not wait is lost."""
WAKE_UP_STATE_BYTES_MAX = 16 * 1024
"""A wake-up for a new run brings its creation along if that is no larger."""
WAKE_UP_ACK_SECONDS = 60
WAKE_UP_KEEP_SECONDS = 24 * 3600
WAKE_UP_STALE_SECONDS = 10.0
"""After this long a wake-up in the database is stale: its run has been found without it."""
POLL_SECONDS = 1.0
"""The net under every notification."""
RELAY_REST_SECONDS_MAX = 0.005
"""The relay rests after a page for twice as long as that took, and no longer than this."""
PROJECT_REST_SECONDS = 0.02
"""The projector rests after a page that has not filled up."""
