-- An append must follow on what the log holds. Who believes a stream to be longer than it is (after
-- a backup was restored, or by a forged message) would otherwise begin one in its middle.
--
-- Writers name the version before the first that they want of each stream, except where they begin
-- it, so that beginning a stream costs nothing more. All that are missing are named at once, by
-- their numbers: the decision was made under the lock, and need not be looked up again without it.

DROP FUNCTION log.append;

CREATE FUNCTION log.append(
    streams text[], versions bigint[], topics text[], states bytea[],
    owners text[], actors text[], causations uuid[], correlations uuid[],
    receipt_owners text[], receipt_keys text[], receipt_hashes bytea[],
    receipt_answers bytea[], receipt_offsets bigint[],
    predecessor_streams text[], predecessor_versions bigint[]
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = log, pg_temp
AS $$
DECLARE
    head bigint;
    moment timestamptz;
    missing text;
BEGIN
    PERFORM pg_advisory_xact_lock(4919201701);
    IF cardinality(predecessor_streams) > 0 THEN
        -- The LIMIT makes it one index look-up each, whatever the plan was made on.
        SELECT string_agg(p.number::text, ',') INTO missing
        FROM unnest(predecessor_streams, predecessor_versions)
            WITH ORDINALITY AS p (stream, version, number)
        LEFT JOIN LATERAL (
            SELECT true AS is_there FROM stored_events
            WHERE originator_id = p.stream AND originator_version = p.version
            LIMIT 1) AS e ON true
        WHERE e.is_there IS NULL;
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'an append begins beyond the next version of its stream'
                USING ERRCODE = 'LG001', DETAIL = missing;
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
    PERFORM pg_notify('stored_events', (head + cardinality(streams))::text);
    RETURN head;
END $$;

REVOKE EXECUTE ON FUNCTION log.append FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.append TO evergraph_app;
