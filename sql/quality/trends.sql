-- Pictures of single points, from `neighbours` and `events` of just those points.
-- Running counts are sums: DuckDB works a window with FILTER out anew for every row.

-- name: line
-- Usable numbers, thinned to the first, last, least and greatest of each bin, which is all that a picture can show.
-- part: rises at each unusable event, so that the line breaks there.
WITH parted AS (
    SELECT pt, t, seq, number,
           sum(CASE WHEN number IS NULL THEN 1 ELSE 0 END) OVER (PARTITION BY pt ORDER BY seq) AS part
    FROM neighbours
),
kept AS (
    SELECT pt, unnest([min(seq), max(seq), arg_min(seq, number), arg_max(seq, number)]) AS seq
    FROM parted
    WHERE number IS NOT NULL
    GROUP BY pt, (t - $start_ns) // $bin_ns, part
)
SELECT points.point, t, number AS value, part
FROM parted
JOIN (SELECT DISTINCT pt, seq FROM kept) USING (pt, seq)
JOIN points USING (pt)
WHERE number IS NOT NULL
ORDER BY pt, seq;

-- name: bad_spans
-- From the first of a row of bad events to the next event that is not bad, or the end of the span.
SELECT points.point, min(t) AS start_ns, max(coalesce(next_t, $end_ns)) AS end_ns
FROM (
    SELECT pt, t, next_t, quality, seq,
           sum(CASE WHEN quality >= 64 THEN 1 ELSE 0 END) OVER (PARTITION BY pt ORDER BY seq) AS part
    FROM neighbours
)
JOIN points USING (pt)
WHERE quality < 64
GROUP BY points.point, part
ORDER BY points.point, start_ns;

-- name: states
-- How long each state held; consecutive events of one state are one bar.
SELECT points.point, text, min(t) AS start_ns, max(next_t) AS end_ns, bool_or(bad) AS bad
FROM (
    SELECT *, sum(CASE WHEN fresh THEN 1 ELSE 0 END) OVER (PARTITION BY pt ORDER BY t, tie) AS run
    FROM (
        SELECT pt, t, tie, coalesce(text, value::VARCHAR) AS text, quality < 64 AS bad,
               coalesce(lead(t) OVER neighbour, $end_ns) AS next_t,
               coalesce(text, value::VARCHAR) IS DISTINCT FROM lag(coalesce(text, value::VARCHAR)) OVER neighbour
                   AS fresh
        FROM events
        WHERE inside
        WINDOW neighbour AS (PARTITION BY pt ORDER BY t, tie)
    )
)
JOIN points USING (pt)
GROUP BY points.point, text, run
ORDER BY points.point, start_ns;
