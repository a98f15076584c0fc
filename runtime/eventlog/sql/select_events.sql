-- Single events of a stream. The LIMIT makes it one index look-up each.
SELECT event.originator_version, event.topic, event.state, event.notification_id, event.recorded_at
FROM unnest(%b) AS wanted (version)
CROSS JOIN LATERAL (
    SELECT * FROM log.stored_events
    WHERE originator_id = %b AND originator_version = wanted.version
    LIMIT 1) AS event
ORDER BY event.originator_version
