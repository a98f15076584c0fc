-- One page of each stream that is asked for. A page ends with the event that fills it up. The LIMIT
-- makes it one walk along the index each, also for a plan that was made on the empty table.
SELECT page.originator_version, page.topic, page.state, page.notification_id, page.recorded_at,
    asked.place
FROM unnest(%b, %b, %b) WITH ORDINALITY AS asked (stream, after, upto, place)
CROSS JOIN LATERAL (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY originator_version ROWS UNBOUNDED PRECEDING)
        - octet_length(state) AS bytes_before
    FROM (
        SELECT originator_version, topic, state, notification_id, recorded_at
        FROM log.stored_events
        WHERE originator_id = asked.stream
            AND originator_version > asked.after AND originator_version <= asked.upto
        ORDER BY originator_version
        LIMIT %b
    ) AS events
) AS page
WHERE page.bytes_before < %b
ORDER BY asked.place, page.originator_version
