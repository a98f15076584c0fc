-- Runs that no worker could take.

ALTER TABLE read.runs ADD COLUMN parked text;

COMMENT ON COLUMN read.runs.parked IS
    'Why no worker could take the run when it was tried last; it is tried again at wakes_at.';
