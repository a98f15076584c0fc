-- The oldest first, and no more than a portion.
DELETE FROM log.receipts
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM log.receipts
    WHERE recorded_at < clock_timestamp() - make_interval(secs => %s)
    ORDER BY recorded_at
    LIMIT %s))
