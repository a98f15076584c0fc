DELETE FROM log.receipts WHERE recorded_at < clock_timestamp() - make_interval(secs => %s)
