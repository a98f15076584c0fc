SELECT kept.hash, octet_length(kept.value)
FROM unnest(%b) AS wanted (hash)
CROSS JOIN LATERAL (
    SELECT hash, value FROM log.values WHERE owner = %b AND hash = wanted.hash LIMIT 1) AS kept
