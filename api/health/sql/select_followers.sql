-- Of each who follows the log under a lease: whether somebody leads it, how often the lead has
-- changed hands, how far it is, and for how many seconds the first event that it has not seen has
-- waited. With it, whether any executor lives.
SELECT f.role,
    coalesce(l.expires_at > clock_timestamp(), false) AS is_led,
    coalesce(l.epoch, 0) AS epoch,
    c.position,
    coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8 AS seconds_behind,
    EXISTS (SELECT FROM work.leases WHERE expires_at > clock_timestamp()) AS has_executors
FROM (VALUES
    ('projector', %(read_models)s::text[]),
    ('relay', ARRAY['relay'])) AS f (role, checkpoints)
LEFT JOIN work.leaders AS l ON l.role = f.role
CROSS JOIN LATERAL (
    SELECT CASE WHEN count(*) = cardinality(f.checkpoints)
        THEN min(t.notification_id) ELSE 0 END AS position
    FROM log.notification_tracking AS t
    WHERE t.application_name = ANY(f.checkpoints)) AS c
LEFT JOIN LATERAL (
    SELECT recorded_at FROM log.stored_events
    WHERE notification_id > c.position
    ORDER BY notification_id
    LIMIT 1) AS e ON true
