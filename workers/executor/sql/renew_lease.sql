INSERT INTO work.leases AS l (name, worker, expires_at)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (name) DO UPDATE SET worker = excluded.worker, expires_at = excluded.expires_at
