SELECT r.run_id, r.worker IS NULL
FROM read.runs AS r
WHERE r.ended_at IS NULL
    AND CASE WHEN r.worker IS NULL
        THEN r.created_at < clock_timestamp() - make_interval(secs => %s)
        ELSE NOT EXISTS (
            SELECT FROM work.leases AS l
            WHERE l.worker = r.worker AND l.expires_at > clock_timestamp())
        END
ORDER BY r.created_at
LIMIT %s
