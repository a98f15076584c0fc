-- In the hands of somebody who does not live any more.
SELECT user_id, run_id, worker
FROM read.runs
WHERE worker IS NOT NULL AND worker <> ALL(%(living)s)
    AND (user_id, run_id) > (%(user_id)s, %(run_id)s)
ORDER BY user_id, run_id
LIMIT %(limit)s
