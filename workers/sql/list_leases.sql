-- Whether each runs, and whether nobody could renew it, because the database takes no changes.
SELECT worker, expires_at > clock_timestamp(), current_setting('transaction_read_only')::boolean
FROM work.leases
