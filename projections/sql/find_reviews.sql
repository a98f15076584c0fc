SELECT node_exec_id, run_id, execution
FROM read.reviews
WHERE user_id = %(user_id)s AND node_exec_id = ANY(%(node_exec_ids)s::text[])
