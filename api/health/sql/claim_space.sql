-- Writes some 200 KiB to the disk and forgets them: more rows than fit into so little memory.
SELECT count(*)
FROM (SELECT set_config('work_mem', '64kB', true)) AS bound (memory)
CROSS JOIN LATERAL generate_series(1, 10000 + 0 * length(bound.memory))
