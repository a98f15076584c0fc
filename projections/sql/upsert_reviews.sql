INSERT INTO read.reviews (node_exec_id, user_id, run_id, execution, node_id, name, payload, large,
    reason, editable, status, created_at, position)
SELECT n.node_exec_id, n.user_id, n.run_id, n.execution, n.node_id, n.name, n.payload::jsonb,
    n.large, n.reason, n.editable, 'WAITING', n.created_at, n.position
FROM unnest(%(node_exec_ids)s::text[], %(user_ids)s::text[], %(run_ids)s::text[],
    %(executions)s::int[], %(node_ids)s::text[], %(names)s::text[], %(payloads)s::text[],
    %(large)s::text[],
    %(reasons)s::text[], %(editable)s::boolean[], %(created_at)s::timestamptz[],
    %(positions)s::bigint[])
    AS n (node_exec_id, user_id, run_id, execution, node_id, name, payload, large, reason, editable,
        created_at, position)
ON CONFLICT (node_exec_id) DO UPDATE SET
    name = excluded.name,
    payload = excluded.payload,
    large = excluded.large,
    reason = excluded.reason,
    editable = excluded.editable,
    status = excluded.status,
    message = NULL,
    was_edited = NULL,
    created_at = excluded.created_at,
    reviewed_at = NULL,
    position = excluded.position
