SELECT version, state, checksum FROM work.snapshots
WHERE stream = %b AND format = %b AND version <= %b
