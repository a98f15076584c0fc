SELECT 1 FROM work.leases WHERE worker = %s AND expires_at > clock_timestamp()
