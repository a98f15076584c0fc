DELETE FROM work.wake_ups
WHERE run_id IN (
    SELECT run_id FROM work.wake_ups ORDER BY sent_at LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING run_id
