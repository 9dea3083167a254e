-- One row per point and UTC day of the window, also for days without an event (a silent point must show).
-- Days are clipped to the window. quality: below 64 bad, below 192 uncertain; 72 and 216 are substituted.
-- percent_good_time is of the time in which the quality is known: from the first known event on, also through days
-- without one; null where none is known.
WITH days AS (
    SELECT day, greatest(day, $start_ns) AS opens, least(day + 86400000000000, $end_ns) AS closes
    FROM (
        SELECT unnest(range($first_day_ns, $end_ns, 86400000000000)) AS day
    )
),
dated AS (
    SELECT *,
           t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day,
           greatest(day, $start_ns) AS opens,
           least(day + 86400000000000, $end_ns) AS closes,
           least(coalesce(next_t, closes), closes) - t AS tail,
           CASE WHEN coalesce(previous_t < opens, true) THEN t - opens ELSE 0 END AS head,
           coalesce(number = previous_number, false) AS same
    FROM neighbours
),
counted AS (
    SELECT pt, day,
           count(*) AS events,
           count(*) FILTER (quality < 64) AS bad,
           count(*) FILTER (quality >= 64 AND NOT good) AS uncertain,
           count(*) FILTER (quality IN (72, 216)) AS substituted,
           count(*) FILTER (numeric AND value IS NULL) AS states,
           count(*) FILTER (NOT isfinite(value)) AS non_finite,
           count(*) FILTER (tie > 0) AS ties,
           count(*) FILTER (number < low OR number > high) AS out_of_limits,
           greatest(max(tail), max(head)) / 1e9 AS longest_gap_s,
           (sum(CASE WHEN good THEN tail ELSE 0 END::DOUBLE)
               + sum(CASE WHEN previous_good THEN head ELSE 0 END::DOUBLE)) AS good_time,
           (sum(tail::DOUBLE) + sum(CASE WHEN previous_t IS NOT NULL THEN head ELSE 0 END::DOUBLE)) AS known_time,
           min(t) AS first_ns,
           max(t) AS last_ns
    FROM dated
    JOIN points USING (pt)
    GROUP BY pt, day
),
last_of_days AS (
    SELECT pt, max(t) AS t, arg_max(quality >= 192, struct_pack(t := t, tie := tie)) AS good
    FROM events
    GROUP BY pt, t - ((t % 86400000000000) + 86400000000000) % 86400000000000
),
held AS (
    -- The quality that goes on through a day without an event.
    SELECT quiet.pt, quiet.day, last_of_days.good
    FROM (SELECT pt, day, opens FROM points CROSS JOIN days ANTI JOIN counted USING (pt, day)) AS quiet
    ASOF JOIN last_of_days ON quiet.pt = last_of_days.pt AND quiet.opens > last_of_days.t
),
runs AS (
    -- A run of equal numbers ends where the number changes or is not usable. Events alone in their run have no length
    -- and are left out first, for they are nearly all. A point's first event is never `same`, so runs end with it.
    -- The running count is a sum: DuckDB works a window with FILTER out anew for every row.
    SELECT pt, day,
           least(max(closes), max(CASE WHEN number = next_number THEN next_t ELSE t END))
               - greatest(min(opens), min(CASE WHEN same THEN previous_t ELSE t END)) AS length
    FROM (
        SELECT *, sum(CASE WHEN same THEN 0 ELSE 1 END) OVER (ORDER BY seq) AS run
        FROM dated
        WHERE same OR number = next_number
    )
    GROUP BY pt, run, day
),
stuck AS (
    SELECT pt, day, max(length) / 1e9 AS stuck_s
    FROM runs
    GROUP BY pt, day
),
rates AS (
    SELECT pt, day, max(events) AS max_events_per_s
    FROM (
        SELECT pt, day, count(*) AS events
        FROM dated
        GROUP BY pt, day, (t - day) // 1000000000
    )
    GROUP BY pt, day
)
SELECT grp, points.point, days.day AS time,
       coalesce(events, 0) AS events, coalesce(bad, 0) AS bad, coalesce(uncertain, 0) AS uncertain,
       coalesce(substituted, 0) AS substituted, coalesce(states, 0) AS states,
       coalesce(non_finite, 0) AS non_finite, coalesce(ties, 0) AS ties,
       coalesce(out_of_limits, 0) AS out_of_limits,
       coalesce(longest_gap_s, (closes - opens) / 1e9) AS longest_gap_s,
       coalesce(stuck_s, 0) AS stuck_s,
       coalesce(100.0 * good_time / nullif(known_time, 0), CASE held.good WHEN true THEN 100 WHEN false THEN 0 END)
           AS percent_good_time,
       coalesce(max_events_per_s, 0) AS max_events_per_s,
       first_ns, last_ns
FROM points
CROSS JOIN days
LEFT JOIN counted USING (pt, day)
LEFT JOIN held USING (pt, day)
LEFT JOIN stuck USING (pt, day)
LEFT JOIN rates USING (pt, day)
ORDER BY pt, days.day;
