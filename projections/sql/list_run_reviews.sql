SELECT v.node_exec_id, v.user_id, v.run_id, r.graph_id, r.graph_version, v.execution, v.node_id,
    v.name, v.payload, v.large, v.editable, v.status, v.created_at
FROM read.reviews AS v JOIN read.runs AS r USING (run_id)
WHERE v.run_id = %(run_id)s AND v.status = 'WAITING'
ORDER BY v.execution
LIMIT %(limit)s OFFSET %(offset)s
