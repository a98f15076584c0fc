INSERT INTO log.notification_tracking (application_name, notification_id)
VALUES (%s, %s)
ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id
