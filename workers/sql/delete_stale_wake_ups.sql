-- ReceivedWakeUp again meanwhile if they are still of use.
DELETE FROM work.wake_ups WHERE sent_at < clock_timestamp() - make_interval(secs => %s)
