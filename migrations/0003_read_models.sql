-- Read models: derived from the log, rebuilt at will. Analysts may read this schema and no other.

CREATE SCHEMA read;

CREATE TABLE read.graphs (
    graph_id    text        COLLATE "C" NOT NULL PRIMARY KEY,
    user_id     text        COLLATE "C" NOT NULL,
    version     int         NOT NULL,  -- the active one
    versions    int         NOT NULL,
    name        text        NOT NULL,
    meta        jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,  -- of the active version
    position    bigint      NOT NULL
);

CREATE INDEX graphs_user ON read.graphs (user_id, created_at DESC);

COMMENT ON TABLE read.graphs IS 'One row a graph, as its active version describes it.';

CREATE TABLE read.runs (
    run_id        text        COLLATE "C" NOT NULL PRIMARY KEY,
    user_id       text        COLLATE "C" NOT NULL,
    graph_id      text        COLLATE "C" NOT NULL,
    graph_version int         NOT NULL,
    status        text        NOT NULL,
    inputs        jsonb       NOT NULL,
    worker        text,
    error         text,
    steps         int,
    errors        int,
    cost          int,
    nodes_us      bigint,
    wall_us       bigint,
    created_at    timestamptz NOT NULL,
    started_at    timestamptz,
    ended_at      timestamptz,
    position      bigint      NOT NULL   -- of the last event that changed this row
) WITH (fillfactor = 80);

CREATE INDEX runs_graph ON read.runs (user_id, graph_id, created_at DESC);
CREATE INDEX runs_user ON read.runs (user_id, created_at DESC);
CREATE INDEX runs_unfinished ON read.runs (created_at) WHERE ended_at IS NULL;

COMMENT ON TABLE read.runs IS 'One row a run. Its node executions are in its stream.';

CREATE TABLE read.accounts (
    user_id   text   COLLATE "C" NOT NULL PRIMARY KEY,
    granted   bigint NOT NULL,
    spent     bigint NOT NULL,
    held      bigint NOT NULL,
    available bigint GENERATED ALWAYS AS (granted - spent - held) STORED,
    position  bigint NOT NULL
) WITH (fillfactor = 80);

COMMENT ON TABLE read.accounts IS 'One row an account, in credits.';

GRANT USAGE ON SCHEMA read TO evergraph_app, evergraph_analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO evergraph_analyst;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA read TO evergraph_app;
