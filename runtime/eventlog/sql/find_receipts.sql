-- The LIMIT makes it one index look-up each, also for a plan that was made on the empty table.
SELECT r.owner, r.key
FROM unnest(%b, %b) AS w (owner, key)
CROSS JOIN LATERAL (
    SELECT * FROM log.receipts WHERE owner = w.owner AND key = w.key LIMIT 1) AS r
