-- The LIMIT makes it one index look-up each, also for a plan that was made on the empty table.
SELECT kept.hash, kept.value
FROM unnest(%b) AS wanted (hash)
CROSS JOIN LATERAL (
    SELECT hash, value FROM log.values WHERE owner = %b AND hash = wanted.hash LIMIT 1) AS kept
