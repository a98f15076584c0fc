-- A row has what lists show, and lists show no large values: they refer to them, or leave them out.

ALTER TABLE read.runs ALTER COLUMN inputs DROP NOT NULL;
COMMENT ON COLUMN read.runs.inputs IS 'Null where they are too large for a list.';

ALTER TABLE read.reviews ADD COLUMN large text;
COMMENT ON COLUMN read.reviews.large IS
    'The hash in log.values of a payload that is too large for a list; `payload` is null then.';

-- The inputs are weighed by reading the log again.
TRUNCATE read.runs;
UPDATE log.notification_tracking SET notification_id = 0 WHERE application_name = 'runs';
