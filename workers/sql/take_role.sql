-- Takes a role whose lease has run out, or whose holder's session has ended: that held the lock of
-- its epoch. The lock of the new epoch is taken before anybody can see that epoch.
UPDATE work.leaders AS l
SET holder = %(holder)s, epoch = l.epoch + 1,
    expires_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE l.role = %(role)s
    AND (l.expires_at < clock_timestamp()
        OR pg_try_advisory_xact_lock(hashtextextended(l.role || ' ' || l.epoch, 0)))
RETURNING new.epoch, old.holder, old.expires_at < clock_timestamp(), clock_timestamp(),
    pg_try_advisory_lock(hashtextextended(new.role || ' ' || new.epoch, 0))
