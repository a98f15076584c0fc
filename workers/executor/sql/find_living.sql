SELECT worker FROM work.leases WHERE worker = ANY(%s) AND expires_at > clock_timestamp()
