-- A page ends with the event that fills it up, so that large events do not make large pages.
SELECT notification_id, originator_id, originator_version, topic, state, owner,
    (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM (
    SELECT *, sum(octet_length(state)) OVER (ORDER BY notification_id ROWS UNBOUNDED PRECEDING)
        - octet_length(state) AS bytes_before
    FROM (
        SELECT *
        FROM log.stored_events
        WHERE notification_id > %s
        ORDER BY notification_id
        LIMIT %s
    ) AS page
) AS sized
WHERE bytes_before < %s
ORDER BY notification_id
