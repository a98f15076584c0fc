-- What people are asked, and what they said: one row a node execution that asked.

CREATE TABLE read.reviews (
    node_exec_id text        COLLATE "C" NOT NULL PRIMARY KEY,
    user_id      text        COLLATE "C" NOT NULL,
    run_id       text        COLLATE "C" NOT NULL,
    execution    int         NOT NULL,
    node_id      text        NOT NULL,
    name         text        NOT NULL,
    payload      jsonb       NOT NULL,  -- what is to be judged
    reason       text        NOT NULL,
    editable     boolean     NOT NULL,
    status       text        NOT NULL,
    message      text,
    was_edited   boolean,
    created_at   timestamptz NOT NULL,
    reviewed_at  timestamptz,           -- also when the run ended without an answer
    position     bigint      NOT NULL   -- of the last event that changed this row
) WITH (fillfactor = 80);

-- Few wait at any time, and whatever is asked often is asked about these.
CREATE INDEX reviews_waiting_user ON read.reviews (user_id, created_at) WHERE status = 'WAITING';
CREATE INDEX reviews_waiting_run ON read.reviews (run_id) WHERE status = 'WAITING';

COMMENT ON TABLE read.reviews IS 'One row a node execution that a person was asked about.';

GRANT SELECT ON read.reviews TO evergraph_analyst;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON read.reviews TO evergraph_app;
