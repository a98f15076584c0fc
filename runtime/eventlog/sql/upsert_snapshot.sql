-- The same version once more replaces what may be damaged or of another format.
INSERT INTO work.snapshots AS kept (stream, version, format, state, checksum)
VALUES (%b, %b, %b, %b, %b)
ON CONFLICT (stream) DO UPDATE
SET version = excluded.version, format = excluded.format,
    state = excluded.state, checksum = excluded.checksum
WHERE kept.version <= excluded.version
