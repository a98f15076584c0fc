-- Behind its base and nowhere else. Not when another reader was first, or when the base is gone.
WITH added AS (
    INSERT INTO work.checkpoints (stream, format, version, base, state, checksum)
    SELECT %(stream)b, %(format)b, %(version)b, %(base)b, %(state)b, %(checksum)b
    WHERE %(base)b = 0 OR EXISTS (
        SELECT FROM work.checkpoints
        WHERE stream = %(stream)b AND format = %(format)b AND version = %(base)b)
    ON CONFLICT DO NOTHING
    RETURNING stream, format, version
), parts AS (
    INSERT INTO work.checkpoint_parts (stream, format, version, kind, block, content, checksum)
    SELECT added.stream, added.format, added.version, part.*
    FROM added, unnest(%(kinds)b, %(blocks)b, %(contents)b, %(checksums)b) AS part
)
SELECT FROM added
