INSERT INTO log.values (owner, hash, value)
SELECT %b, new.hash, new.value FROM unnest(%b, %b) AS new (hash, value)
ON CONFLICT DO NOTHING
