-- name: stage
CREATE TEMPORARY TABLE noted (
    point text COLLATE "C", time_ns bigint, tie integer, place integer, state text, reason text, text text, author text,
    created_ns bigint, id text, title text, description text, modified_by text, modified_ns bigint
) ON COMMIT DROP

-- name: copy
COPY noted FROM STDIN (FORMAT csv)

-- What was told before of an event whose annotation is lacking now, and what is told now.
-- name: append
INSERT INTO annotations (
    slice_seq, source, point_group, point, time_ns, tie, place, state, reason, text, author, created_ns, id, title,
    description, modified_by, modified_ns
)
SELECT %(seq)s, %(source)s, %(group)s, t.point, t.time_ns, t.tie, coalesce(n.place, t.place),
    coalesce(n.state, t.state), coalesce(n.reason, t.reason), coalesce(n.text, t.text), coalesce(n.author, t.author),
    CASE WHEN n.seq IS NULL THEN t.created_ns ELSE n.created_ns END, coalesce(n.id, t.id), coalesce(n.title, t.title),
    coalesce(n.description, t.description), coalesce(n.modified_by, t.modified_by),
    CASE WHEN n.seq IS NULL THEN t.modified_ns ELSE n.modified_ns END
FROM noted t
LEFT JOIN annotations_now n ON t.state <> 'told' AND n.state = 'told' AND n.source = %(source)s
    AND n.point_group = %(group)s AND n.time_ns = t.time_ns AND n.point = t.point AND n.tie = t.tie

-- Where the span had some, or has.
-- name: replace
INSERT INTO annotation_slices (slice_seq, source, point_group, span)
SELECT %(seq)s, %(source)s, %(group)s, int8range(%(start_ns)s, %(end_ns)s)
WHERE EXISTS (
    SELECT FROM annotations
    WHERE source = %(source)s AND point_group = %(group)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s)

-- name: load
COPY (
    SELECT point, time_ns, tie, place, state, reason, text, author, created_ns, id, title, description, modified_by,
        modified_ns
    FROM annotations_now
    WHERE source = %(source)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s
    ORDER BY point, time_ns, tie, place
) TO STDOUT (FORMAT csv, FORCE_QUOTE (point, state, reason, text, author, id, title, description, modified_by))

-- Events by what became of their annotations.
-- name: count
SELECT count(DISTINCT (point, time_ns, tie)),
    count(DISTINCT (point, time_ns, tie)) FILTER (WHERE state = 'told'),
    count(DISTINCT (point, time_ns, tie)) FILTER (WHERE state = 'not_offered'),
    count(*) FILTER (WHERE state = 'told')
FROM annotations_now
WHERE source = %(source)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s

-- Points with events whose annotation is lacking, how many, and why the newest.
-- name: lacking
SELECT point, count(DISTINCT (time_ns, tie)), (array_agg(reason ORDER BY seq DESC))[1]
FROM annotations_now n
WHERE source = %(source)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s AND state = 'lacking'
    AND NOT EXISTS (
        SELECT FROM annotations_now t
        WHERE t.source = n.source AND t.point_group = n.point_group AND t.time_ns = n.time_ns AND t.point = n.point
            AND t.tie = n.tie AND t.state = 'told')
GROUP BY point
ORDER BY point
LIMIT %(limit)s
