INSERT INTO read.graphs AS g (graph_id, user_id, version, versions, name, meta, created_at, position)
VALUES (%(graph_id)s, %(user_id)s, %(version)s, 1, %(name)s, %(meta)s::jsonb, %(created_at)s,
    %(position)s)
ON CONFLICT (graph_id) DO UPDATE SET
    versions = g.versions + 1,
    version = CASE WHEN %(is_active)s THEN excluded.version ELSE g.version END,
    name = CASE WHEN %(is_active)s THEN excluded.name ELSE g.name END,
    meta = CASE WHEN %(is_active)s THEN excluded.meta ELSE g.meta END,
    created_at = CASE WHEN %(is_active)s THEN excluded.created_at ELSE g.created_at END,
    position = excluded.position
