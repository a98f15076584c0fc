-- Which log this is. What processes remember of one is not true of another, and a restored backup is
-- another: it lacks what was appended since, and goes on differently.
--
-- Another server has another identifier, and a server that was restored up to a moment, or a standby
-- that took over, has another timeline. A cold copy of the files has neither: whoever puts one back
-- says so with `evergraph restored`, which begins a row here.

CREATE TABLE log.epochs (
    id       uuid        NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO log.epochs DEFAULT VALUES;

COMMENT ON TABLE log.epochs IS 'One row more for each time that a backup was put back.';

CREATE FUNCTION log.epoch() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = log, pg_temp
AS $$
    SELECT left(encode(sha256(convert_to(concat_ws(' ',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
        (SELECT id FROM epochs ORDER BY begun_at DESC, id LIMIT 1)), 'UTF8')), 'hex'), 16)
$$;

REVOKE EXECUTE ON FUNCTION log.epoch FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.epoch TO evergraph_app;
GRANT SELECT, INSERT ON log.epochs TO evergraph_app;
