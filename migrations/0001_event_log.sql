-- The event log. The table has the shape of the eventsourcing library's stored events, so that the
-- stock library can read it, with our columns beside.

DO $$
BEGIN
    CREATE ROLE evergraph_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- roles belong to the whole cluster
END $$;

DO $$
BEGIN
    CREATE ROLE evergraph_analyst NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'evergraph_app', 'MEMBER') THEN
        EXECUTE format('GRANT evergraph_app TO %I', current_user);
    END IF;
END $$;

CREATE SCHEMA log;

CREATE TABLE log.stored_events (
    originator_id      text        COLLATE "C" NOT NULL,
    originator_version bigint      NOT NULL,
    topic              text        COLLATE "C" NOT NULL,
    state              bytea       NOT NULL,
    notification_id    bigint      NOT NULL,  -- no sequence: only log.append gives positions
    owner              text        COLLATE "C" NOT NULL,
    actor              text        COLLATE "C" NOT NULL,
    causation          uuid        NOT NULL,
    correlation        uuid,
    recorded_at        timestamptz NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    -- Rows never die, so vacuum has only to freeze and to keep the visibility map.
    autovacuum_vacuum_threshold = 100000000,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.01
);

ALTER TABLE log.stored_events ALTER COLUMN state SET STORAGE EXTERNAL;

-- Named as the library would name it, so that a recorder of its own finds it there.
CREATE UNIQUE INDEX stored_events_notification_id_idx ON log.stored_events (notification_id);

COMMENT ON TABLE log.stored_events IS 'Every change, once, in commit order. Append-only.';

CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER stored_events_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON log.stored_events
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

ALTER TABLE log.stored_events ENABLE ALWAYS TRIGGER stored_events_append_only;

CREATE TABLE log.receipts (
    owner        text        COLLATE "C" NOT NULL,
    key          text        COLLATE "C" NOT NULL,
    request_hash bytea       NOT NULL,
    answer       bytea       NOT NULL,
    position     bigint      NOT NULL,
    recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (owner, key)
);

CREATE INDEX receipts_recorded_at ON log.receipts (recorded_at);

COMMENT ON TABLE log.receipts IS
    'What was answered to a command that carried an idempotency key; written with its events.';

-- The library's own table for checkpoints (PostgresTrackingRecorder, single row a name).
CREATE TABLE log.notification_tracking (
    application_name text   NOT NULL PRIMARY KEY,
    notification_id  bigint NOT NULL
) WITH (fillfactor = 50);

-- By this row the library knows the table for its present layout; otherwise it would convert it.
INSERT INTO log.notification_tracking VALUES ('__migration__', 1);

-- One batch of appends. The lock puts all writers in one total order, and because positions are
-- taken under it from max + 1, they have no holes and equal the commit order. One NOTIFY a batch:
-- it costs nothing beyond the lock that is held anyway; its channel is the one on which the
-- library's subscriptions listen. The function writes with its owner's rights, because the
-- application has none to write in any other way.
CREATE FUNCTION log.append(
    streams text[], versions bigint[], topics text[], states bytea[],
    owners text[], actors text[], causations uuid[], correlations uuid[],
    receipt_owners text[], receipt_keys text[], receipt_hashes bytea[],
    receipt_answers bytea[], receipt_offsets bigint[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = log, pg_temp
AS $$
DECLARE
    head bigint;
    moment timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(4919201701);
    SELECT notification_id INTO head FROM stored_events ORDER BY notification_id DESC LIMIT 1;
    head := coalesce(head, 0);
    moment := clock_timestamp();
    INSERT INTO stored_events (
        originator_id, originator_version, topic, state, notification_id,
        owner, actor, causation, correlation, recorded_at)
    SELECT unnest(streams), unnest(versions), unnest(topics), unnest(states),
        generate_series(head + 1, head + cardinality(streams)),
        unnest(owners), unnest(actors), unnest(causations), unnest(correlations), moment;
    IF cardinality(receipt_keys) > 0 THEN
        INSERT INTO receipts (owner, key, request_hash, answer, position, recorded_at)
        SELECT unnest(receipt_owners), unnest(receipt_keys), unnest(receipt_hashes),
            unnest(receipt_answers), head + unnest(receipt_offsets), moment;
    END IF;
    PERFORM pg_notify('stored_events', (head + cardinality(streams))::text);
    RETURN head;
END $$;

-- The log in plain words, for people.
CREATE VIEW log.history AS
SELECT notification_id AS position,
    originator_id AS stream,
    originator_version AS version,
    split_part(topic, '@', 1) AS type,
    split_part(topic, '@', 2)::int AS schema_version,
    convert_from(state, 'UTF8')::jsonb AS data,
    owner, actor, causation, correlation, recorded_at
FROM log.stored_events;

REVOKE EXECUTE ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO evergraph_app;
GRANT USAGE ON SCHEMA log TO evergraph_app;
GRANT SELECT ON log.stored_events TO evergraph_app;
GRANT SELECT, DELETE ON log.receipts TO evergraph_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON log.notification_tracking TO evergraph_app;
GRANT SELECT ON log.history TO evergraph_app;
