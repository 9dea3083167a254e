-- name: stage
CREATE TEMPORARY TABLE found (
    point text COLLATE "C" NOT NULL, name text NOT NULL, kind text NOT NULL, body text NOT NULL, absent text
) ON COMMIT DROP

-- name: copy
COPY found (point, name, kind, body, absent) FROM STDIN (FORMAT csv)

-- name: analyze
ANALYZE found

-- Two saves at once would each append the other's changes.
-- name: lock
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- Points that are not what the group's slices were made with: never seen, vanished until now, or of another kind. Since
-- when slices may lack them as they are now: null is for ever.
-- name: late
SELECT f.point, CASE
    WHEN n.vanished THEN n.seq
    WHEN n.point IS NOT NULL THEN coalesce((SELECT max(seq) FROM discoveries WHERE source = %(source)s), 0)
END
FROM found f
LEFT JOIN points_now n ON n.source = %(source)s AND n.point = f.point
WHERE f.absent IS NULL AND (n.point IS NULL OR n.vanished OR n.kind <> f.kind)

-- name: made_since
SELECT start_ns, end_ns
FROM slices
WHERE source = %(source)s AND point_group = %(group)s AND proves AND seq > %(seq)s

-- Points that have appeared, come back or changed since a version of the catalogue, and whether their kind did.
-- name: changed_since
SELECT n.point, n.kind IS DISTINCT FROM (
    SELECT o.kind
    FROM points o
    WHERE o.source = n.source AND md5(o.point) = md5(n.point) AND o.point = n.point AND o.seq <= %(seq)s
    ORDER BY o.seq DESC
    LIMIT 1)
FROM points_now n
WHERE n.source = %(source)s AND n.seq > %(seq)s AND NOT n.vanished

-- Some points and the group that each was proved in, from the newest slices that backfills have moved.
-- name: grouped
SELECT p.point, s.point_group
FROM (
    SELECT seq, point_group
    FROM slices
    WHERE source = %(source)s AND state = 'verified' AND note = '' AND run_id <> ''
    ORDER BY seq DESC
    LIMIT 16
) s
CROSS JOIN LATERAL (SELECT point FROM proofs WHERE slice_seq = s.seq LIMIT 32) p

-- name: version
SELECT coalesce(max(seq), 0) FROM discoveries WHERE source = %(source)s

-- What is neither among the found nor named as absent there is gone.
-- name: append
WITH newest AS MATERIALIZED (
    SELECT point, vanished, name, kind, body, absent FROM points_now WHERE source = %(source)s
)
INSERT INTO points (source, point, vanished, name, kind, body, absent)
SELECT %(source)s, f.point, coalesce(f.absent = 'unselected', false), f.name, f.kind, f.body::json, f.absent
FROM found f
LEFT JOIN newest n USING (point)
WHERE n.point IS NULL OR n.absent IS DISTINCT FROM f.absent OR (n.vanished AND f.absent IS NULL) OR n.body::text <> f.body
UNION ALL
SELECT %(source)s, n.point, true, n.name, n.kind, n.body, 'gone'
FROM newest n
LEFT JOIN found f USING (point)
WHERE f.point IS NULL AND NOT n.vanished

-- name: load
SELECT body::text
FROM points_now
WHERE source = %(source)s AND (NOT vanished OR %(vanished)s)
ORDER BY point

-- Of the few that ever were away the newest version, not the whole catalogue: every pass asks.
-- name: absences
SELECT n.body::text, extract(epoch FROM date_trunc('second', n.recorded_at))::bigint * 1000000000, n.vanished
FROM (
    SELECT DISTINCT point FROM points WHERE source = %(source)s AND (vanished OR absent IS NOT NULL)
) away
CROSS JOIN LATERAL (
    SELECT *
    FROM points p
    WHERE p.source = %(source)s AND md5(p.point) = md5(away.point) AND p.point = away.point
    ORDER BY seq DESC
    LIMIT 1
) n
WHERE n.absent = 'missing' OR (n.vanished AND n.absent IS DISTINCT FROM 'unselected')
ORDER BY n.point

-- name: unselected
SELECT body::text
FROM points_now
WHERE source = %(source)s AND vanished AND absent = 'unselected'
ORDER BY point

-- Since a person was asked.
-- name: gone_unasked
SELECT count(*)
FROM points_now
WHERE source = %(source)s AND absent = 'gone'
    AND seq > coalesce((SELECT max(seq) FROM discoveries WHERE source = %(source)s AND accepted_by <> ''), 0)

-- name: discovered
INSERT INTO discoveries (source, points, changed, accepted_by, selection)
VALUES (%(source)s, %(points)s, %(changed)s, %(accepted_by)s, coalesce(
    %(selection)s, (SELECT selection FROM discoveries WHERE source = %(source)s ORDER BY seq DESC LIMIT 1)))

-- name: known
SELECT count(*) FROM points_now WHERE source = %(source)s

-- name: selection
SELECT selection FROM discoveries WHERE source = %(source)s ORDER BY seq DESC LIMIT 1

-- name: age
SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8
FROM discoveries
WHERE source = %(source)s
ORDER BY seq DESC
LIMIT 1
