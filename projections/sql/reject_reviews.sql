UPDATE read.reviews AS r SET
    status = 'REJECTED',
    reviewed_at = n.ended_at,
    position = n.position
FROM unnest(%(run_ids)s::text[], %(ended_at)s::timestamptz[], %(positions)s::bigint[])
    AS n (run_id, ended_at, position)
WHERE r.run_id = n.run_id AND r.status = 'WAITING'
