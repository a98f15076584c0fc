-- A page ends with the graph that fills it up, and each row says whether there is another.
SELECT graph_id, user_id, version, name, meta, created_at, has_next
FROM (
    SELECT *, lead(graph_id) OVER newest IS NOT NULL AS has_next,
        sum(octet_length(name) + octet_length(meta::text)) OVER newest
            - octet_length(name) - octet_length(meta::text) AS bytes_before
    FROM (
        SELECT *
        FROM read.graphs
        WHERE user_id = %(user_id)s
        ORDER BY created_at DESC, graph_id DESC
        LIMIT %(limit)s + 1 OFFSET %(after)s
    ) AS page
    WINDOW newest AS (ORDER BY created_at DESC, graph_id DESC)
) AS sized
WHERE bytes_before < %(bytes)s
ORDER BY created_at DESC, graph_id DESC
LIMIT %(limit)s
