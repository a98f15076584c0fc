-- In this worker's hands as far as is known, but for those that it knows of.
SELECT run_id, position
FROM read.runs
WHERE worker = %(worker)s AND run_id <> ALL(%(known)s)
ORDER BY run_id
LIMIT %(limit)s
