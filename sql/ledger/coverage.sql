-- name: append
INSERT INTO coverage (source, point_group, covers, start_ns, end_ns, generation, run_id, reason)
VALUES (%(source)s, %(group)s, %(covers)s, %(start_ns)s, %(end_ns)s, %(generation)s, %(run_id)s, %(reason)s)
RETURNING seq

-- name: covered
SELECT lower(span), upper(span) FROM unnest(covered(%(source)s, %(group)s)) AS span ORDER BY 1

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
SELECT %(source)s, %(group)s, upto_seq, covered(%(source)s, %(group)s)
FROM since
WHERE rows >= greatest(
    %(rows)s, coalesce((SELECT count(*) FROM newest, unnest(newest.intervals)), 0) / 16)

-- Both look into the span's few slices one by one (a scalar subquery is not turned into a join): what they cost must
-- not depend on how old the ledger is, nor on fresh statistics.
-- Every verified slice that the withdrawn span touches: its proofs tell counts of the whole, and the whole is gone.
-- name: supersede
INSERT INTO supersessions (slice_seq, by_seq)
SELECT s.seq, %(seq)s
FROM slices s
WHERE s.source = %(source)s AND s.point_group = %(group)s AND s.proves
    AND s.span && int8range(%(start_ns)s, %(end_ns)s)
    AND (SELECT u.slice_seq FROM supersessions u WHERE u.slice_seq = s.seq) IS NULL

-- Every older verified slice there of which each point was proved again.
-- name: supersede_proved
INSERT INTO supersessions (slice_seq, by_seq)
SELECT s.seq, %(seq)s
FROM slices s
WHERE s.source = %(source)s AND s.point_group = %(group)s AND s.proves
    AND s.span && int8range(%(start_ns)s, %(end_ns)s) AND s.seq < %(seq)s
    AND (SELECT u.slice_seq FROM supersessions u WHERE u.slice_seq = s.seq) IS NULL
    AND NOT EXISTS (
        SELECT FROM proofs p
        WHERE p.slice_seq = s.seq
            AND NOT EXISTS (SELECT FROM proofs n WHERE n.slice_seq = %(seq)s AND n.point = p.point))
