-- Each notification wakes a process of the server for each listener, and then the listener. What a run
-- does between its beginning and its end can wait for a few milliseconds: whoever appends says so, and
-- has it announced together with what follows.

DROP FUNCTION log.append;

CREATE FUNCTION log.append(
    streams text[], versions bigint[], topics text[], states bytea[],
    owners text[], actors text[], causations uuid[], correlations uuid[],
    receipt_owners text[], receipt_keys text[], receipt_hashes bytea[],
    receipt_answers bytea[], receipt_offsets bigint[],
    predecessor_streams text[], predecessor_versions bigint[],
    read_streams text[], read_versions bigint[],
    is_announced boolean
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = log, pg_temp
AS $$
DECLARE
    head bigint;
    moment timestamptz;
    numbers text;
BEGIN
    PERFORM pg_advisory_xact_lock(4919201701);
    IF cardinality(predecessor_streams) > 0 THEN
        -- The LIMIT makes it one index look-up each, whatever the plan was made on.
        SELECT string_agg(p.number::text, ',') INTO numbers
        FROM unnest(predecessor_streams, predecessor_versions)
            WITH ORDINALITY AS p (stream, version, number)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM stored_events
            WHERE originator_id = p.stream AND originator_version = p.version
            LIMIT 1) AS e ON true
        WHERE e.is_there IS NULL;
        IF numbers IS NOT NULL THEN
            RAISE EXCEPTION 'an append begins beyond the next version of its stream'
                USING ERRCODE = 'LG001', DETAIL = numbers;
        END IF;
    END IF;
    IF cardinality(read_streams) > 0 THEN
        SELECT string_agg(r.number::text, ',') INTO numbers
        FROM unnest(read_streams, read_versions)
            WITH ORDINALITY AS r (stream, version, number)
        LEFT JOIN LATERAL (
            SELECT originator_version AS version FROM stored_events
            WHERE originator_id = r.stream
            ORDER BY originator_version DESC
            LIMIT 1) AS e ON true
        WHERE e.version IS DISTINCT FROM r.version;
        IF numbers IS NOT NULL THEN
            RAISE EXCEPTION 'a stream has moved on since an append was decided on it'
                USING ERRCODE = 'LG002', DETAIL = numbers;
        END IF;
    END IF;
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
    IF is_announced THEN
        PERFORM pg_notify('stored_events', (head + cardinality(streams))::text);
    END IF;
    RETURN head;
END $$;

REVOKE EXECUTE ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO evergraph_app;
