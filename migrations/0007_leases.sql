-- A lease belongs to one incarnation of one process: two hosts may give their processes the same
-- names.

TRUNCATE work.leases;
ALTER TABLE work.leases DROP CONSTRAINT leases_pkey;
DROP INDEX work.leases_worker;
ALTER TABLE work.leases ADD PRIMARY KEY (worker);

COMMENT ON COLUMN work.leases.worker IS
    'Name and incarnation, so that no other process ever has it.';
COMMENT ON COLUMN work.leases.name IS 'The name that people know the process by.';
