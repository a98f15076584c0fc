SELECT notification_id, originator_id, originator_version, topic, state, owner,
    (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM log.stored_events
WHERE notification_id > %s
ORDER BY notification_id
LIMIT %s
