-- name: append
INSERT INTO slices (source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note,
    retry_at_ns, proves)
VALUES (%(source)s, %(group)s, %(start_ns)s, %(end_ns)s, %(state)s, %(generation)s, %(run_id)s, %(events)s,
    %(points)s, %(rounded)s, %(note)s, %(retry_at_ns)s, %(proves)s)
RETURNING seq

-- Without what later rows replace: see 0007_standing.
-- name: standing
SELECT source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note, retry_at_ns,
    seq, (extract(epoch FROM recorded_at) * 1000000000)::bigint
FROM slices_standing
WHERE source = %(source)s AND point_group = coalesce(%(group)s, point_group)
    AND span && int8range(%(start_ns)s, %(end_ns)s)
ORDER BY seq

-- name: history
SELECT source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note, retry_at_ns,
    seq, (extract(epoch FROM recorded_at) * 1000000000)::bigint
FROM slices
WHERE source = %(source)s AND point_group = coalesce(%(group)s, point_group)
    AND span && int8range(%(start_ns)s, %(end_ns)s)
ORDER BY seq

-- By the index of 0008_moved.
-- name: moved
SELECT source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note, retry_at_ns,
    seq, (extract(epoch FROM recorded_at) * 1000000000)::bigint
FROM slices
WHERE source = %(source)s AND state = 'verified' AND note = '' AND run_id <> ''
ORDER BY seq DESC
LIMIT %(limit)s

-- name: accept
INSERT INTO acceptances (source, point_group, start_ns, end_ns, accepted_by)
VALUES (%(source)s, %(group)s, %(start_ns)s, %(end_ns)s, %(by)s)

-- name: accepted
SELECT coalesce(range_agg(a.span) @> int8range(%(start_ns)s, %(end_ns)s), false)
FROM acceptances a
WHERE a.source = %(source)s AND a.point_group = %(group)s
    AND a.span && int8range(%(start_ns)s, %(end_ns)s)
    AND a.seq > coalesce((
        SELECT max(s.seq)
        FROM slices s
        WHERE s.source = %(source)s AND s.point_group = %(group)s AND s.state = 'verified'
            AND s.span && int8range(%(start_ns)s, %(end_ns)s)
    ), 0)

-- Compared with, when history shrinks or changes: what was verified since somebody accepted a loss there.
-- name: since_acceptance
SELECT source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note, retry_at_ns,
    seq, (extract(epoch FROM recorded_at) * 1000000000)::bigint
FROM slices
WHERE source = %(source)s AND point_group = %(group)s AND proves
    AND span && int8range(%(start_ns)s, %(end_ns)s)
    AND seq > coalesce((
        SELECT max(a.seq)
        FROM acceptances a
        WHERE a.source = %(source)s AND a.point_group = %(group)s AND a.span && int8range(%(start_ns)s, %(end_ns)s)
    ), 0)
ORDER BY seq
