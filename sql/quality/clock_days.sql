-- One row per clock and UTC day on which it was told, from points whose name begins with $prefix; values in s.
-- drift: slope of the least-squares line. A jump is a step of more than $jump_s from one telling to the next.
WITH told AS (
    SELECT pt, grp, points.point, t, number, abs(number - previous_number) AS step,
           t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day
    FROM neighbours
    JOIN points USING (pt)
    WHERE starts_with(points.name, $prefix) AND number IS NOT NULL
)
SELECT grp, point, day AS time,
       count(*) AS tellings,
       arg_min(number, t) AS first_s,
       arg_max(number, t) AS last_s,
       min(number) AS least_s,
       max(number) AS most_s,
       coalesce(regr_slope(number, (t - day) / 1e9), 0) * 86400 AS drift_s_per_day,
       count(*) FILTER (step > $jump_s) AS jumps,
       coalesce(max(step), 0) AS largest_step_s
FROM told
GROUP BY grp, pt, point, day
ORDER BY pt, day;
