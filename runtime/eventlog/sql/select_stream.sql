SELECT originator_version, topic, state, notification_id, recorded_at
FROM log.stored_events
WHERE originator_id = %s AND originator_version > %s
ORDER BY originator_version
