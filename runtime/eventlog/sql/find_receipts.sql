SELECT r.owner, r.key
FROM unnest(%b, %b) AS w (owner, key)
JOIN log.receipts AS r ON r.owner = w.owner AND r.key = w.key
