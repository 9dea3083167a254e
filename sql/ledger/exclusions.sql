-- name: open
SELECT seq, source, point_group, point, start_ns, end_ns, reason
FROM exclusions_now
WHERE source = %(source)s AND point_group = coalesce(%(group)s, point_group)
    AND span && int8range(%(start_ns)s, %(end_ns)s)
ORDER BY seq

-- name: append
COPY exclusions (source, point_group, point, start_ns, end_ns, reason, slice_seq) FROM STDIN (FORMAT csv)

-- name: close
INSERT INTO exclusion_closures (exclusion_seq, slice_seq)
SELECT unnest(%(closed)s::bigint[]), %(slice_seq)s
