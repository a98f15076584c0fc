-- Some of those that nobody has used for long.
DELETE FROM work.checkpointed
WHERE (stream, format) IN (
    SELECT stream, format FROM work.checkpointed
    WHERE used_at < now() - make_interval(secs => %b)
    ORDER BY used_at
    LIMIT %b
    FOR UPDATE SKIP LOCKED)
