-- One row at least: the present version alone when no event has such a topic. Where an owner is named
-- and the stream is another's, none of its events are looked at.
SELECT event.originator_version, event.topic, event.state, event.notification_id,
    event.recorded_at, present.version
FROM (
    SELECT coalesce(max(originator_version), 0) AS version
    FROM log.stored_events
    WHERE originator_id = %(stream)b
) AS present
LEFT JOIN log.stored_events AS event
    ON event.originator_id = (
        SELECT originator_id
        FROM log.stored_events
        WHERE originator_id = %(stream)b AND originator_version = 1
            AND owner = coalesce(%(owner)b, owner)
        LIMIT 1)
    AND event.originator_version > %(after)b
    AND event.topic = ANY (%(topics)b)
ORDER BY event.originator_version
