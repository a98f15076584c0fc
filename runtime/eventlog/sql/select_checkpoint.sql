-- The last one up to a version, and whether it is time to say that it is used.
SELECT kept.version, kept.state, kept.checksum, known.used_at < now() - interval '1 day'
FROM work.checkpoints AS kept
JOIN work.checkpointed AS known USING (stream, format)
WHERE kept.stream = %b AND kept.format = %b AND kept.version <= %b
ORDER BY kept.version DESC
LIMIT 1
