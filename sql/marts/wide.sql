-- name: covered
-- Where what is landed of a point counts: nothing is known outside, whatever was told before.
CREATE TABLE covered (pt INTEGER NOT NULL, start_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL);

-- name: parts
-- For each usable event the time [since, upto) for which it says what the point is: until the next event, however little
-- that can be used, at most $hold_ns and a nanosecond (an instant just so far away still counts), and only where what is
-- landed counts. With $lines, a linear point is a line to the next event when that is usable and no farther than
-- $tolerance_ns; when it is farther, nothing is known between the two.
-- A part lies in one chunk of $chunk_ns, so that one chunk is read without the others.
CREATE TABLE parts AS
WITH told AS (
    SELECT pt, t, tie, linear AND $lines AS linear,
           CASE WHEN numeric AND quality >= 64 AND isfinite(value) THEN value END AS number,
           CASE WHEN NOT numeric AND quality >= 64 THEN text END AS state
    FROM events
    JOIN points USING (pt)
),
followed AS (
    SELECT pt, t, number, state, linear,
           CASE WHEN next_pt = pt THEN next_t END AS next_t,
           CASE WHEN next_pt = pt THEN next_number END AS next_number
    FROM (
        SELECT *, lead(pt) OVER following AS next_pt, lead(t) OVER following AS next_t,
               lead(number) OVER following AS next_number
        FROM told
        WINDOW following AS (ORDER BY pt, t, tie)
    )
),
known AS (
    SELECT followed.*, covered.end_ns AS known_ns,
           coalesce(linear AND next_number IS NOT NULL AND next_t > t AND next_t < known_ns, false) AS drawn
    FROM followed
    ASOF JOIN covered ON followed.pt = covered.pt AND followed.t >= covered.start_ns
    WHERE t < known_ns AND (number IS NOT NULL OR state IS NOT NULL)
),
held AS (
    SELECT pt, t, number, state,
           CASE WHEN drawn AND next_t - t <= $tolerance_ns THEN (next_number - number) / (next_t - t) ELSE 0 END AS slope,
           greatest(t, $start_ns) AS since,
           least(coalesce(next_t, known_ns), known_ns, $end_ns,
                 t + 1 + CASE WHEN drawn AND next_t - t > $tolerance_ns THEN 0 ELSE $hold_ns END) AS upto
    FROM known
)
SELECT pt, t, number, state, slope, chunk,
       greatest(since, $start_ns + chunk * $chunk_ns) AS since,
       least(upto, $start_ns + (chunk + 1) * $chunk_ns) AS upto
FROM (
    SELECT *, unnest(range((since - $start_ns) // $chunk_ns, (upto - 1 - $start_ns) // $chunk_ns + 1)) AS chunk
    FROM held
    WHERE since < upto
)
ORDER BY chunk, pt, t;

-- name: instants
-- What each point is at the instants of a chunk, every $every_ns from $start_ns on: place, number, state.
SELECT pt, (instant - $start_ns) // $every_ns AS place,
       CASE WHEN isfinite(number + slope * (instant - t)) THEN number + slope * (instant - t) END AS number, state
FROM (
    SELECT *, unnest(range($start_ns + (since - $start_ns + $every_ns - 1) // $every_ns * $every_ns, upto, $every_ns))
                  AS instant
    FROM parts
    WHERE chunk = $chunk AND (state IS NOT NULL OR NOT $only_states)
);

-- name: means
-- The mean of each numeric point over [instant, instant + $every_ns), weighed with the time for which it is known.
SELECT pt, place, CASE WHEN isfinite(mean) THEN mean END AS number
FROM (
    SELECT pt, (bucket - $start_ns) // $every_ns AS place,
           sum((upto - since) * (number + slope * ((since - t) + (upto - t)) / 2)) / sum(upto - since) AS mean
    FROM (
        SELECT pt, t, number, slope, bucket, greatest(since, bucket) AS since,
               least(upto, bucket + $every_ns, t + greatest($hold_ns, 1)) AS upto
        FROM (
            SELECT *, unnest(range($start_ns + (since - $start_ns) // $every_ns * $every_ns, upto, $every_ns)) AS bucket
            FROM parts
            WHERE chunk = $chunk AND number IS NOT NULL
        )
    )
    WHERE since < upto
    GROUP BY pt, bucket
);
