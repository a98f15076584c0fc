-- The last version that was recorded by a moment, 0 for none: halving, because a stream may be long.
WITH RECURSIVE halves AS (
    SELECT 0::bigint AS low, (
        SELECT coalesce(max(originator_version), 0) FROM log.stored_events
        WHERE originator_id = %(stream)b)::bigint AS high
    UNION ALL
    SELECT CASE WHEN is_past THEN middle ELSE low END, CASE WHEN is_past THEN high ELSE middle - 1 END
    FROM halves
    CROSS JOIN LATERAL (SELECT (low + high + 1) / 2 AS middle) AS m
    CROSS JOIN LATERAL (
        SELECT recorded_at <= %(moment)b AS is_past FROM log.stored_events
        WHERE originator_id = %(stream)b AND originator_version = middle
        LIMIT 1) AS event
    WHERE low < high
)
SELECT low FROM halves WHERE low = high
