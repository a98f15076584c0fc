INSERT INTO read.accounts AS a (user_id, granted, spent, held, position)
SELECT * FROM unnest(%(user_ids)s::text[], %(granted)s::bigint[], %(spent)s::bigint[],
    %(held)s::bigint[], %(positions)s::bigint[])
ON CONFLICT (user_id) DO UPDATE SET
    granted = a.granted + excluded.granted,
    spent = a.spent + excluded.spent,
    held = a.held + excluded.held,
    position = excluded.position
