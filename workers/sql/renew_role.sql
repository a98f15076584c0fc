-- The database's time, and whether the lease had run out before it was renewed. There is no row when
-- the role has changed hands.
UPDATE work.leaders AS l SET expires_at = clock_timestamp() + make_interval(secs => %s)
WHERE role = %s AND epoch = %s
RETURNING clock_timestamp(), old.expires_at < clock_timestamp()
