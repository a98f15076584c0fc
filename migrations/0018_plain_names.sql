-- The words that everybody knows: a run is suspended, and an executor gets a wake-up.

ALTER TABLE work.bells RENAME TO wake_ups;
ALTER TABLE work.wake_ups RENAME COLUMN rung_at TO sent_at;
ALTER TABLE work.wake_ups RENAME CONSTRAINT bells_pkey TO wake_ups_pkey;
ALTER INDEX work.bells_rung RENAME TO wake_ups_sent;

ALTER TABLE read.runs RENAME COLUMN rests TO suspended;
ALTER INDEX read.runs_resting RENAME TO runs_suspended;

COMMENT ON COLUMN read.runs.worker IS
    'Who has the run in hand; null while it is queued or suspended, and when it has ended.';
COMMENT ON COLUMN read.runs.wakes_at IS
    'When a suspended run wants a worker: at its own moment, or since something came from outside.';
COMMENT ON COLUMN read.runs.seen IS
    'The position up to which its worker considered ends of children before it was suspended.';
