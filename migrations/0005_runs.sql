-- Runs that rest, wait for people, belong to others: what the dispatcher, the sweeper and lists ask.

ALTER TABLE read.runs
    ADD COLUMN parent_id   text COLLATE "C",
    ADD COLUMN forked_from text COLLATE "C",
    ADD COLUMN rests       boolean NOT NULL DEFAULT false,
    ADD COLUMN wakes_at    timestamptz,
    ADD COLUMN seen        bigint  NOT NULL DEFAULT 0,
    ADD COLUMN child_ended bigint  NOT NULL DEFAULT 0,
    ADD COLUMN children    int     NOT NULL DEFAULT 0,
    ADD COLUMN reviews     int     NOT NULL DEFAULT 0,
    ADD COLUMN paused      boolean NOT NULL DEFAULT false,
    ADD COLUMN stopping    boolean NOT NULL DEFAULT false,
    ADD COLUMN waiting     int,
    ADD COLUMN outcome     text;

COMMENT ON COLUMN read.runs.worker IS
    'Who has the run in hand; null while it is queued, while it rests, and when it has ended.';
COMMENT ON COLUMN read.runs.rests IS
    'It was in hand, and there is nothing to do before something happens.';
COMMENT ON COLUMN read.runs.wakes_at IS
    'When a resting run wants a worker: at its own moment, or since something came from outside.';
COMMENT ON COLUMN read.runs.seen IS
    'The position up to which its worker considered ends of children before it rested.';
COMMENT ON COLUMN read.runs.child_ended IS 'The position at which a child of it ended last.';
COMMENT ON COLUMN read.runs.children IS 'Children that have not ended.';
COMMENT ON COLUMN read.runs.reviews IS 'Reviews that wait for a decision.';
COMMENT ON COLUMN read.runs.waiting IS 'Node executions that never got all their inputs.';

DROP INDEX read.runs_unfinished;
CREATE INDEX runs_unfinished ON read.runs (user_id, graph_id, run_id) WHERE ended_at IS NULL;
CREATE INDEX runs_in_hand ON read.runs (user_id) WHERE worker IS NOT NULL;
CREATE INDEX runs_queued ON read.runs (user_id, created_at)
    WHERE worker IS NULL AND NOT rests AND NOT paused AND ended_at IS NULL;
CREATE INDEX runs_resting ON read.runs (wakes_at) WHERE rests AND NOT paused;
CREATE INDEX runs_called ON read.runs (user_id)
    WHERE rests AND NOT paused AND child_ended > seen;
CREATE INDEX runs_children ON read.runs (parent_id)
    WHERE parent_id IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_orphaning ON read.runs (run_id) WHERE ended_at IS NOT NULL AND children > 0;

-- The columns are filled by reading the log again.
TRUNCATE read.runs;
UPDATE log.notification_tracking SET notification_id = 0 WHERE application_name = 'runs';
