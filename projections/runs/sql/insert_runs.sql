INSERT INTO read.runs (run_id, user_id, graph_id, graph_version, status, inputs, created_at,
    position, parent_id, forked_from)
SELECT run_id, user_id, graph_id, graph_version, 'QUEUED', inputs, created_at,
    position, parent_id, forked_from
FROM json_to_recordset(%s::json) AS n (run_id text, user_id text, graph_id text,
    graph_version int, inputs jsonb, created_at timestamptz, position bigint, parent_id text,
    forked_from text)
