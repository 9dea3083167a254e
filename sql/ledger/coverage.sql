-- name: append
INSERT INTO coverage (source, point_group, covers, start_ns, end_ns, generation, run_id, reason)
VALUES (%(source)s, %(group)s, %(covers)s, %(start_ns)s, %(end_ns)s, %(generation)s, %(run_id)s, %(reason)s)
RETURNING seq

-- name: covered
SELECT lower(span), upper(span) FROM unnest(covered(%(source)s, %(group)s)) AS span ORDER BY 1

-- Whichever store answers just now.
-- name: covered_by_rows
SELECT lower(span), upper(span) FROM unnest(covered_by_rows(%(source)s, %(group)s)) AS span ORDER BY 1

-- A checkpoint once enough rows have gathered since the last; as its size grows with the number of intervals, so
-- does the wait for the next, and the table stays in proportion to the history.
-- name: checkpoint
WITH newest AS (
    SELECT upto_seq, intervals
    FROM coverage_checkpoints
    WHERE source = %(source)s AND point_group = %(group)s
    ORDER BY upto_seq DESC
    LIMIT 1
), since AS (
    SELECT count(*) AS rows, max(seq) AS upto_seq
    FROM coverage
    WHERE source = %(source)s AND point_group = %(group)s
        AND seq > coalesce((SELECT upto_seq FROM newest), 0)
)
INSERT INTO coverage_checkpoints (source, point_group, upto_seq, intervals)
SELECT %(source)s, %(group)s, upto_seq, covered_by_rows(%(source)s, %(group)s)
FROM since
WHERE rows >= greatest(
    %(rows)s, coalesce((SELECT count(*) FROM newest, unnest(newest.intervals)), 0) / 16)

-- The slices whose proofs stand and that touch a span. The scalar subquery is not turned into a join: the span's slices
-- are looked at one by one, and the cost depends neither on the age of the ledger nor on fresh statistics.
-- name: standing
SELECT s.seq
FROM slices s
WHERE s.source = %(source)s AND s.point_group = %(group)s AND s.proves
    AND s.span && int8range(%(start_ns)s, %(end_ns)s)
    AND (SELECT u.slice_seq FROM superseded_slices u WHERE u.slice_seq = s.seq) IS NULL

-- A proof tells counts of a whole slice: what touches a part of it ends all of it.
-- name: supersede
INSERT INTO superseded_slices (slice_seq, by_seq)
SELECT unnest(%(older)s::bigint[]), %(seq)s

-- The older slices of which the new one has proved every point again.
-- name: supersede_proved
INSERT INTO superseded_slices (slice_seq, by_seq)
SELECT older.seq, %(seq)s
FROM unnest(%(older)s::bigint[]) AS older (seq)
WHERE NOT EXISTS (
    SELECT FROM proofs p
    WHERE p.slice_seq = older.seq
        AND NOT EXISTS (SELECT FROM proofs n WHERE n.slice_seq = %(seq)s AND n.point = p.point))

-- And of those that are left, the points that it has.
-- name: supersede_points
INSERT INTO superseded_proofs (slice_seq, point, by_seq)
SELECT p.slice_seq, p.point, %(seq)s
FROM proofs p
JOIN proofs n ON n.slice_seq = %(seq)s AND n.point = p.point
WHERE p.slice_seq = ANY(%(older)s)
    AND NOT EXISTS (SELECT FROM superseded_slices u WHERE u.slice_seq = p.slice_seq)
ON CONFLICT DO NOTHING
