SELECT run_id, user_id, graph_id, parent_id, worker IS NOT NULL, suspended,
    extract(epoch FROM wakes_at)::float8, seen, child_ended, paused, stopping
FROM read.runs
WHERE ended_at IS NULL
ORDER BY created_at, run_id
