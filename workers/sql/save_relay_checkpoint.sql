-- Only forward, and only by the relay that leads: it has no row otherwise.
INSERT INTO log.notification_tracking AS t (application_name, notification_id)
SELECT %(name)s, %(position)s FROM work.leaders WHERE role = %(role)s AND epoch = %(epoch)s
ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id
WHERE t.notification_id < excluded.notification_id
