UPDATE log.notification_tracking AS t SET notification_id = %(position)s
FROM unnest(%(names)s::text[], %(seen)s::bigint[]) AS n (name, seen)
WHERE t.application_name = n.name AND t.notification_id = n.seen
