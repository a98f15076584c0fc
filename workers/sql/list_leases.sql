SELECT worker, expires_at > clock_timestamp() FROM work.leases
