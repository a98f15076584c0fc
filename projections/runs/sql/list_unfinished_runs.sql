SELECT run_id
FROM read.runs
WHERE user_id = %(user_id)s AND graph_id = %(graph_id)s AND ended_at IS NULL
    AND run_id > %(after)s
ORDER BY run_id
LIMIT %(limit)s
