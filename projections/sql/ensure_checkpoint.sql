INSERT INTO log.notification_tracking (application_name, notification_id)
SELECT name, 0 FROM unnest(%s::text[]) AS n (name)
ON CONFLICT (application_name) DO NOTHING
