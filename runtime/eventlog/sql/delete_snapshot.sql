DELETE FROM work.snapshots WHERE stream = %b
