SELECT graph_id, user_id, version, name, meta, created_at
FROM read.graphs
WHERE user_id = %(user_id)s
ORDER BY created_at DESC, graph_id DESC
