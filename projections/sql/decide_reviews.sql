UPDATE read.reviews AS r SET
    status = n.status,
    message = n.message,
    was_edited = n.was_edited,
    reviewed_at = n.reviewed_at,
    position = n.position
FROM unnest(%(node_exec_ids)s::text[], %(statuses)s::text[], %(messages)s::text[],
    %(edited)s::boolean[], %(reviewed_at)s::timestamptz[], %(positions)s::bigint[])
    AS n (node_exec_id, status, message, was_edited, reviewed_at, position)
WHERE r.node_exec_id = n.node_exec_id
