SELECT run_id, user_id, graph_id, graph_version, status, inputs, error, steps, errors, cost,
    nodes_us, wall_us, waiting, created_at, started_at, ended_at, parent_id, paused, outcome
FROM read.runs
WHERE user_id = %(user_id)s AND graph_id = %(graph_id)s
ORDER BY created_at DESC, run_id DESC
LIMIT %(limit)s OFFSET %(offset)s
