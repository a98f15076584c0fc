INSERT INTO read.runs (run_id, user_id, graph_id, graph_version, status, inputs, created_at, position)
SELECT n.run_id, n.user_id, n.graph_id, n.graph_version, 'QUEUED', n.inputs::jsonb, n.created_at,
    n.position
FROM unnest(%(run_ids)s::text[], %(user_ids)s::text[], %(graph_ids)s::text[],
    %(graph_versions)s::int[], %(inputs)s::text[], %(created_at)s::timestamptz[],
    %(positions)s::bigint[])
    AS n (run_id, user_id, graph_id, graph_version, inputs, created_at, position)
