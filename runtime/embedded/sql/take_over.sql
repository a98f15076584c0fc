-- What it takes to give everything of ours that the superuser owns to the migrator.
WITH ours AS (
    SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname IN ('log', 'work', 'read')
)
SELECT format('ALTER SCHEMA %I OWNER TO evergraph_migrator', nspname)
FROM ours WHERE nspowner = 'postgres'::regrole
UNION ALL
SELECT format('ALTER TABLE %s OWNER TO evergraph_migrator', oid::regclass)
FROM pg_class
WHERE relowner = 'postgres'::regrole AND relkind IN ('r', 'v')
    AND (relnamespace IN (SELECT oid FROM ours)
        OR oid = to_regclass('public.evergraph_migrations'))
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO evergraph_migrator', oid::regprocedure)
FROM pg_proc
WHERE proowner = 'postgres'::regrole AND pronamespace IN (SELECT oid FROM ours)
