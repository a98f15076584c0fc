-- With it go the leases of those who were killed long ago.
DELETE FROM work.leases
WHERE worker = %s OR expires_at < clock_timestamp() - make_interval(secs => %s)
