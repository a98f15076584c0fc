-- Who leads where one at a time may: the projector, the relay. The shape is that of work.leases, with
-- an epoch that grows whenever the role changes hands; what a leader writes for good names its epoch.

CREATE TABLE work.leaders (
    role       text        NOT NULL PRIMARY KEY,
    holder     text,                               -- name and incarnation; null before the first one
    epoch      bigint      NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);

COMMENT ON TABLE work.leaders IS
    'Who leads. A role is free when its lease has run out or its holder''s session has ended.';

GRANT SELECT, INSERT, UPDATE ON work.leaders TO evergraph_app;

-- The sweeper looks through the runs in hand in portions, in the order of this index.
DROP INDEX read.runs_in_hand;
CREATE INDEX runs_in_hand ON read.runs (user_id, run_id) WHERE worker IS NOT NULL;
