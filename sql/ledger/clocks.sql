-- name: now
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000

-- What a group's coverage says of time that has not come yet, and since when it may be wrong: since the row before, where
-- that was recorded at a time that has come. Rows are numbered in the order in which they were committed.
-- name: ahead
WITH ahead AS (
    SELECT min(seq) AS seq, min(start_ns) AS start_ns, max(end_ns) AS end_ns
    FROM coverage
    WHERE source = %(source)s AND point_group = %(group)s AND covers AND end_ns > %(now_ns)s
), before AS (
    SELECT (extract(epoch FROM c.recorded_at) * 1000000)::bigint * 1000 AS recorded_ns
    FROM coverage c, ahead
    WHERE c.source = %(source)s AND c.point_group = %(group)s AND c.seq < ahead.seq
    ORDER BY c.seq DESC
    LIMIT 1
)
SELECT coalesce((SELECT recorded_ns FROM before WHERE recorded_ns < %(now_ns)s), start_ns), end_ns
FROM ahead
WHERE seq IS NOT NULL
