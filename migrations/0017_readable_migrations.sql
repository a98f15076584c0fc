-- Whoever serves may know which of these files were applied, as `evergraph doctor` wants to.

GRANT SELECT ON public.evergraph_migrations TO evergraph_app;
