-- Whose a stream is: who owns its first event, of which nothing else is read. The LIMIT makes it one
-- index look-up.
SELECT event.owner
FROM unnest(%b) AS asked (stream)
CROSS JOIN LATERAL (
    SELECT owner
    FROM log.stored_events
    WHERE originator_id = asked.stream AND originator_version = 1
    LIMIT 1
) AS event
