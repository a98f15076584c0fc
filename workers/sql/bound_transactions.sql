-- A leader that hangs in the middle of a transaction keeps its rows from its successor no longer.
SELECT set_config('idle_in_transaction_session_timeout', %s, false)
