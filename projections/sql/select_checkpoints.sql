SELECT application_name, notification_id
FROM log.notification_tracking
WHERE application_name = ANY(%s)
