-- name: append
INSERT INTO expiries (source, start_ns, end_ns, reason, revokes)
VALUES (%(source)s, %(start_ns)s, %(end_ns)s, %(reason)s, %(revokes)s)

-- What is expired and was not taken back later.
-- name: standing
SELECT lower(span), upper(span)
FROM unnest((
    SELECT range_agg(left_over)
    FROM (
        SELECT e.span::int8multirange - coalesce((
            SELECT range_agg(r.span)
            FROM expiries r
            WHERE r.source = e.source AND r.revokes AND r.seq > e.seq AND r.span && e.span
        ), '{}'::int8multirange) AS left_over
        FROM expiries e
        WHERE e.source = %(source)s AND NOT e.revokes
    ) AS stood
)) AS span
ORDER BY 1
