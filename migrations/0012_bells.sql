-- Bells for while NATS is not heard, by whoever rings or by an executor. Nothing here outlives a crash:
-- a bell that nobody has answered is rung again.

CREATE UNLOGGED TABLE work.bells (
    run_id  text COLLATE "C" NOT NULL PRIMARY KEY,
    rung_at timestamptz      NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX bells_rung ON work.bells (rung_at);

COMMENT ON TABLE work.bells IS
    'Runs that an executor should look at. NATS brings them sooner, while it is there.';

GRANT SELECT, INSERT, UPDATE, DELETE ON work.bells TO evergraph_app;
