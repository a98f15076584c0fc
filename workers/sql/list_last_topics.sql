-- The type of the last event of each stream.
SELECT asked.stream, last.topic
FROM unnest(%s::text[]) AS asked (stream)
CROSS JOIN LATERAL (
    SELECT topic FROM log.stored_events
    WHERE originator_id = asked.stream
    ORDER BY originator_version DESC
    LIMIT 1
) AS last
