-- Pictures of single points, from `neighbours` and `events` of just those points. A pixel is $bin_ns of time: what is
-- shorter is put together by pixel, so that a picture has a bounded number of marks however much happened, and no part
-- of the span is left out.
-- Running counts are sums: DuckDB works a window with FILTER out anew for every row.

-- name: line
-- Usable numbers, thinned to the first, last, least and greatest of each pixel, which is all that a picture can show.
-- part: rises where numbers were unusable for a pixel or longer, so that the line breaks there. The last number of a
-- part of a held point is there twice: it holds until the next event.
WITH parted AS (
    SELECT *, sum(CASE WHEN seq - previous_seq > 1 AND t - held_to >= $bin_ns THEN 1 ELSE 0 END)
                  OVER (PARTITION BY pt ORDER BY seq) AS part
    FROM (
        SELECT pt, t, seq, number, least(coalesce(next_t, $end_ns), $end_ns) AS upto,
               lag(seq) OVER usable AS previous_seq, lag(next_t) OVER usable AS held_to
        FROM neighbours
        WHERE number IS NOT NULL
        WINDOW usable AS (PARTITION BY pt ORDER BY seq)
    )
),
kept AS (
    SELECT pt, unnest([min(seq), max(seq), arg_min(seq, number), arg_max(seq, number)]) AS seq
    FROM parted
    GROUP BY pt, (t - $start_ns) // $bin_ns, part
),
held AS (
    SELECT pt, part, max(seq) AS seq FROM parted GROUP BY pt, part
)
SELECT points.point, t, number AS value, part
FROM (
    SELECT pt, seq, t, number, part FROM parted JOIN (SELECT DISTINCT pt, seq FROM kept) USING (pt, seq)
    UNION ALL
    SELECT pt, seq, upto, number, part
    FROM parted JOIN held USING (pt, part, seq)
    WHERE upto > t AND pt NOT IN (SELECT pt FROM points WHERE linear)
)
JOIN points USING (pt)
ORDER BY pt, seq, t;

-- name: numbers
-- Per point: usable numbers, and their median, least and greatest.
SELECT points.point, count(*) AS numbers, median(number) AS median, min(number) AS least, max(number) AS greatest
FROM neighbours
JOIN points USING (pt)
WHERE number IS NOT NULL
GROUP BY points.point;

-- name: bad_spans
-- From the first of a row of bad events to the next event that is not bad, or the end of the span. Those shorter than a
-- pixel are one row a pixel; share: of its time that was bad; times: how many they were.
WITH runs AS (
    SELECT pt, min(t) AS start_ns, max(least(coalesce(next_t, $end_ns), $end_ns)) AS end_ns
    FROM (
        SELECT pt, t, next_t, quality,
               sum(CASE WHEN quality >= 64 THEN 1 ELSE 0 END) OVER (PARTITION BY pt ORDER BY seq) AS part
        FROM neighbours
    )
    WHERE quality < 64
    GROUP BY pt, part
),
marks AS (
    SELECT pt, start_ns, end_ns, 1.0 AS share, 1 AS times FROM runs WHERE end_ns - start_ns >= $bin_ns
    UNION ALL
    SELECT pt, opens, least(opens + $bin_ns, $end_ns), sum(end_ns - start_ns) / $bin_ns, count(*)
    FROM (SELECT *, start_ns - (start_ns - $start_ns) % $bin_ns AS opens FROM runs WHERE end_ns - start_ns < $bin_ns)
    GROUP BY pt, opens
)
SELECT points.point, start_ns, end_ns, share, times
FROM marks
JOIN points USING (pt)
ORDER BY points.point, start_ns, end_ns;

-- name: states
-- How long each state held; consecutive events of one state are one time. The states that held longest have a lane
-- each, from 0; all others share lane $lanes, whose text is null. Times shorter than a pixel are one row a pixel and
-- lane; share: of its time; times: how many they were; states: how many different ones the point had.
WITH runs AS (
    SELECT pt, text, min(t) AS start_ns, max(next_t) AS end_ns, bool_or(bad) AS bad
    FROM (
        SELECT *, sum(CASE WHEN fresh THEN 1 ELSE 0 END) OVER (PARTITION BY pt ORDER BY t, tie) AS run
        FROM (
            SELECT pt, t, tie, coalesce(text, value::VARCHAR) AS text, quality < 64 AS bad,
                   coalesce(lead(t) OVER neighbour, $end_ns) AS next_t,
                   coalesce(text, value::VARCHAR)
                       IS DISTINCT FROM lag(coalesce(text, value::VARCHAR)) OVER neighbour AS fresh
            FROM events
            WHERE inside
            WINDOW neighbour AS (PARTITION BY pt ORDER BY t, tie)
        )
    )
    GROUP BY pt, text, run
),
ranked AS (
    SELECT pt, text, row_number() OVER (PARTITION BY pt ORDER BY held_ns DESC, text) - 1 AS place,
           count(*) OVER (PARTITION BY pt) AS states
    FROM (SELECT pt, text, sum(end_ns - start_ns) AS held_ns FROM runs GROUP BY pt, text)
),
laned AS (
    -- A lane for the others stands for two states at least.
    SELECT runs.pt, start_ns, end_ns, bad, states,
           CASE WHEN place < $lanes OR states = $lanes + 1 THEN place ELSE $lanes END AS lane,
           CASE WHEN place < $lanes OR states = $lanes + 1 THEN runs.text END AS text,
           start_ns - (start_ns - $start_ns) % $bin_ns AS opens
    FROM runs
    JOIN ranked ON ranked.pt = runs.pt AND ranked.text IS NOT DISTINCT FROM runs.text
),
marks AS (
    SELECT pt, lane, text, states, bad, start_ns, end_ns, 1.0 AS share, 1 AS times
    FROM laned
    WHERE end_ns - start_ns >= $bin_ns
    UNION ALL
    SELECT pt, lane, any_value(text), any_value(states), bad, opens, least(opens + $bin_ns, $end_ns),
           sum(end_ns - start_ns) / $bin_ns, count(*)
    FROM laned
    WHERE end_ns - start_ns < $bin_ns
    GROUP BY pt, lane, bad, opens
)
SELECT points.point, lane, text, states, bad, start_ns, end_ns, share, times
FROM marks
JOIN points USING (pt)
ORDER BY points.point, start_ns, lane, bad;
