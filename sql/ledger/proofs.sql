-- name: append
COPY proofs (slice_seq, point, proof, origin, source_events, events, stored_events, good, first_ns, last_ns, total,
    digest)
FROM STDIN (FORMAT csv)

-- name: current
COPY (
    SELECT p.point, p.proof, p.origin, p.source_events, p.events, p.stored_events, p.good, p.first_ns, p.last_ns,
        p.total, p.digest, s.point_group, s.start_ns, s.end_ns, s.generation
    FROM proofs_standing(%(source)s, %(group)s, int8range(%(start_ns)s, %(end_ns)s)) AS p
    JOIN slices s ON s.seq = p.slice_seq
    ORDER BY s.seq
) TO STDOUT (FORMAT csv)
