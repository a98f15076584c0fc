SELECT notification_id FROM log.notification_tracking WHERE application_name = %s
