UPDATE log.notification_tracking SET notification_id = %(position)s
WHERE application_name = %(name)s AND notification_id = %(seen)s
