-- In the hands of a worker whose lease is gone.
SELECT r.run_id, r.worker
FROM read.runs AS r
WHERE r.worker IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM work.leases AS l
        WHERE l.worker = r.worker AND l.expires_at > clock_timestamp())
LIMIT %s
