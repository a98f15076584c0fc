-- What processes know about each other. Nothing here is true for longer than a lease.

CREATE SCHEMA work;

CREATE TABLE work.leases (
    name       text        NOT NULL PRIMARY KEY,
    worker     text        NOT NULL,  -- name and incarnation: a restarted process is another worker
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX leases_worker ON work.leases (worker);

COMMENT ON TABLE work.leases IS
    'Which executors are alive. Runs claimed by a worker without a lease are free to be claimed.';

GRANT USAGE ON SCHEMA work TO evergraph_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON work.leases TO evergraph_app;
