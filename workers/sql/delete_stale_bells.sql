-- Rung again meanwhile if they are still of use.
DELETE FROM work.bells WHERE rung_at < clock_timestamp() - make_interval(secs => %s)
