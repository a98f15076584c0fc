SELECT asked.stream, (
    SELECT coalesce(max(originator_version), 0)
    FROM log.stored_events
    WHERE originator_id = asked.stream)
FROM unnest(%b) AS asked (stream)
