SELECT notification_id, originator_id, originator_version, topic, state, owner,
    (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM log.stored_events
WHERE originator_id = %s AND originator_version > %s
ORDER BY originator_version
LIMIT %s
