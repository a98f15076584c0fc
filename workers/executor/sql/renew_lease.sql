-- The database's time, whether the lease had run out before it was renewed, and how many others run.
INSERT INTO work.leases AS l (worker, name, expires_at)
VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (worker) DO UPDATE SET expires_at = excluded.expires_at, name = excluded.name
RETURNING
    clock_timestamp(),
    coalesce(old.expires_at < clock_timestamp(), false),
    (
        SELECT count(*) FROM work.leases AS o
        WHERE o.worker <> l.worker AND o.expires_at > clock_timestamp()
    )
