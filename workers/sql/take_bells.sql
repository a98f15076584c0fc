DELETE FROM work.bells
WHERE run_id IN (
    SELECT run_id FROM work.bells ORDER BY rung_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING run_id
