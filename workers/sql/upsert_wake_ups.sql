INSERT INTO work.wake_ups (run_id)
SELECT DISTINCT unnest(%s::text[])
ON CONFLICT (run_id) DO UPDATE SET sent_at = clock_timestamp()
