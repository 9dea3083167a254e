-- name: stage
CREATE TEMPORARY TABLE found (
    point text COLLATE "C" PRIMARY KEY, name text NOT NULL, kind text NOT NULL, body text NOT NULL
) ON COMMIT DROP

-- name: copy
COPY found (point, name, kind, body) FROM STDIN (FORMAT csv)

-- name: analyze
ANALYZE found

-- Two saves at once would each append the other's changes.
-- name: lock
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- name: append
WITH newest AS MATERIALIZED (
    SELECT point, vanished, name, kind, body FROM points_now WHERE source = %(source)s
)
INSERT INTO points (source, point, vanished, name, kind, body)
SELECT %(source)s, f.point, false, f.name, f.kind, f.body::json
FROM found f
LEFT JOIN newest n USING (point)
WHERE n.point IS NULL OR n.vanished OR n.body::text <> f.body
UNION ALL
SELECT %(source)s, n.point, true, n.name, n.kind, n.body
FROM newest n
LEFT JOIN found f USING (point)
WHERE f.point IS NULL AND NOT n.vanished

-- name: load
SELECT body::text
FROM points_now
WHERE source = %(source)s AND (NOT vanished OR %(vanished)s)
ORDER BY point

-- name: discovered
INSERT INTO discoveries (source, points, changed) VALUES (%(source)s, %(points)s, %(changed)s)

-- name: age
SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8
FROM discoveries
WHERE source = %(source)s
ORDER BY seq DESC
LIMIT 1
