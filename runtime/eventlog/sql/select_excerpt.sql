-- A page of the log without the events of some types: they are counted, and not sent. The last one
-- always is, for what it says about the page.
SELECT notification_id, originator_id, originator_version, topic, state, owner,
    (extract(epoch FROM recorded_at) * 1000000)::bigint, is_wanted, events
FROM (
    SELECT *, count(*) OVER () AS events, max(notification_id) OVER () AS last
    FROM (
        SELECT *, sum(bytes) OVER (ORDER BY notification_id ROWS UNBOUNDED PRECEDING) - bytes
            AS bytes_before
        FROM (
            SELECT notification_id, originator_id, originator_version, topic, owner, recorded_at,
                is_wanted, CASE WHEN is_wanted THEN state ELSE '' END AS state,
                CASE WHEN is_wanted THEN octet_length(state) ELSE 0 END AS bytes
            FROM (
                SELECT *, topic <> ALL(%(unwanted)s) AS is_wanted
                FROM log.stored_events
                WHERE notification_id > %(after)s
                ORDER BY notification_id
                LIMIT %(events_max)s
            ) AS page
        ) AS marked
    ) AS sized
    WHERE bytes_before < %(bytes_max)s
) AS cut
WHERE is_wanted OR notification_id = last
ORDER BY notification_id
