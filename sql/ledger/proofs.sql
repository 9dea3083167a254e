-- name: append
COPY proofs (slice_seq, point, proof, origin, source_events, events, stored_events, good, first_ns, last_ns, total,
    digest)
FROM STDIN (FORMAT csv)

-- name: current
COPY (
    SELECT point, proof, origin, source_events, events, stored_events, good, first_ns, last_ns, total, digest,
        point_group, start_ns, end_ns, generation
    FROM proofs_now
    WHERE source = %(source)s AND point_group = coalesce(%(group)s, point_group)
        AND span <@ int8range(%(start_ns)s, %(end_ns)s)
    ORDER BY slice_seq
) TO STDOUT (FORMAT csv)

-- name: of_slice
COPY (
    SELECT point, proof, origin, source_events, events, stored_events, good, first_ns, last_ns, total, digest
    FROM proofs
    WHERE slice_seq = %(seq)s
) TO STDOUT (FORMAT csv)
