-- Of the first version that each append of a batch wants in each stream: which are taken, by whom.
SELECT e.originator_id, e.originator_version, e.causation, e.notification_id
FROM unnest(%b, %b) AS w (stream, version)
JOIN log.stored_events AS e
    ON e.originator_id = w.stream AND e.originator_version = w.version
