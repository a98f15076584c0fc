-- What is too large for an event: it is stored once by its content, and events name the hash.

CREATE TABLE log.values (
    owner       text        COLLATE "C" NOT NULL,
    hash        text        COLLATE "C" NOT NULL,
    value       bytea       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (owner, hash),
    -- Nobody can store under a hash what would later be taken for something else.
    CONSTRAINT values_hash CHECK (hash = encode(sha256(value), 'hex'))
) WITH (autovacuum_vacuum_threshold = 100000000);

-- The server's own compression makes such a write two to three times as slow.
ALTER TABLE log.values ALTER COLUMN value SET STORAGE EXTERNAL;

COMMENT ON TABLE log.values IS 'Large values of events, by owner and SHA-256. Append-only.';

CREATE TRIGGER values_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON log.values
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

ALTER TABLE log.values ENABLE ALWAYS TRIGGER values_append_only;

GRANT SELECT, INSERT (owner, hash, value) ON log.values TO evergraph_app;

-- Folds of long streams, so that nobody has to begin with the first event. Any row may be lost.
CREATE TABLE work.snapshots (
    stream   text   COLLATE "C" NOT NULL PRIMARY KEY,
    version  bigint NOT NULL,  -- of the last event folded
    format   int    NOT NULL,  -- of the state: each program reads its own
    state    bytea  NOT NULL,
    checksum bytea  NOT NULL   -- of the whole row
);

ALTER TABLE work.snapshots ALTER COLUMN state SET STORAGE EXTERNAL;

COMMENT ON TABLE work.snapshots IS 'A cache of folded streams, the newest of each.';

GRANT SELECT, INSERT, UPDATE, DELETE ON work.snapshots TO evergraph_app;
