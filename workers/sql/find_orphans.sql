-- Unfinished runs whose parents have ended, and that nobody has asked to stop.
SELECT parent.run_id, child.run_id
FROM read.runs AS parent
JOIN read.runs AS child ON child.parent_id = parent.run_id
WHERE parent.ended_at IS NOT NULL AND parent.children > 0
    AND child.parent_id IS NOT NULL AND child.ended_at IS NULL AND NOT child.stopping
    AND parent.run_id >= %(parent_id)s
    AND (parent.run_id, child.run_id) > (%(parent_id)s, %(run_id)s)
ORDER BY parent.run_id, child.run_id
LIMIT %(limit)s
