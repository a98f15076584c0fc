-- Of the first version that each append of a batch wants in each stream: which are taken, by whom.
-- The LIMIT makes it one index look-up each, also for a plan that was made on the empty table.
SELECT e.originator_id, e.originator_version, e.causation, e.notification_id
FROM unnest(%b, %b) AS w (stream, version)
CROSS JOIN LATERAL (
    SELECT * FROM log.stored_events
    WHERE originator_id = w.stream AND originator_version = w.version
    LIMIT 1) AS e
