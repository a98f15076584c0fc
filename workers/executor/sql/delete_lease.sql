DELETE FROM work.leases WHERE worker = %s
