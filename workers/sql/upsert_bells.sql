INSERT INTO work.bells (run_id)
SELECT DISTINCT unnest(%s::text[])
ON CONFLICT (run_id) DO UPDATE SET rung_at = clock_timestamp()
