-- Whether anything was migrated here, whether whoever asks may take our role, and whether that may
-- see which migrations were applied.
SELECT
    m.oid IS NOT NULL AS is_begun,
    coalesce(pg_has_role(to_regrole(%(role)s), 'SET'), false) AS may_take_role,
    coalesce(has_table_privilege(to_regrole(%(role)s), m.oid, 'SELECT'), false) AS may_read
FROM (SELECT to_regclass('public.evergraph_migrations')) AS m (oid)
