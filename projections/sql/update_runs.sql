UPDATE read.runs AS r SET
    status = coalesce(n.status, r.status),
    worker = coalesce(n.worker, r.worker),
    error = coalesce(n.run_error, r.error),
    steps = coalesce(n.steps, r.steps),
    errors = coalesce(n.errors, r.errors),
    cost = coalesce(n.cost, r.cost),
    nodes_us = coalesce(n.nodes_us, r.nodes_us),
    wall_us = coalesce(n.wall_us, r.wall_us),
    started_at = coalesce(r.started_at, n.started_at),
    ended_at = coalesce(n.ended_at, r.ended_at),
    position = n.position
FROM unnest(%(run_ids)s::text[], %(statuses)s::text[], %(workers)s::text[],
    %(run_errors)s::text[], %(steps)s::int[], %(errors)s::int[], %(costs)s::int[],
    %(nodes_us)s::bigint[], %(wall_us)s::bigint[], %(started_at)s::timestamptz[], %(ended_at)s::timestamptz[],
    %(positions)s::bigint[])
    AS n (run_id, status, worker, run_error, steps, errors, cost, nodes_us, wall_us, started_at, ended_at,
        position)
WHERE r.run_id = n.run_id
