SELECT notification_id FROM log.stored_events ORDER BY notification_id DESC LIMIT 1
