-- One row at least: the head alone when none of the streams has an event.
SELECT event.originator_version, event.topic, event.state, event.notification_id,
    event.recorded_at, event.stream, head.position
FROM (SELECT coalesce(max(notification_id), 0) AS position FROM log.stored_events) AS head
LEFT JOIN (
    SELECT asked.stream, last.*
    FROM unnest(%b) AS asked (stream)
    CROSS JOIN LATERAL (
        SELECT originator_version, topic, state, notification_id, recorded_at
        FROM log.stored_events
        WHERE originator_id = asked.stream
        ORDER BY originator_version DESC
        LIMIT 1
    ) AS last
) AS event ON true
