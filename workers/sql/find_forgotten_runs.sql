-- Wanting a worker, of users none of whose runs is in hand, so that no limit is the reason: one of
-- each, so that none is passed by waking up it. An event since makes it another one.
SELECT DISTINCT ON (wanting.user_id) wanting.user_id, wanting.run_id, wanting.position
FROM (
    SELECT user_id, run_id, position, created_at AS since
    FROM read.runs
    WHERE worker IS NULL AND NOT suspended AND NOT paused AND ended_at IS NULL
    UNION ALL
    SELECT user_id, run_id, position, wakes_at
    FROM read.runs
    WHERE suspended AND NOT paused AND wakes_at <= clock_timestamp()
    UNION ALL
    SELECT user_id, run_id, position, created_at
    FROM read.runs
    WHERE suspended AND NOT paused AND child_ended > seen
) AS wanting
WHERE wanting.user_id > %(user_id)s AND NOT EXISTS (
    SELECT FROM read.runs AS other
    WHERE other.user_id = wanting.user_id AND other.worker IS NOT NULL)
ORDER BY wanting.user_id, wanting.since
LIMIT %(limit)s
