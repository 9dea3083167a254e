-- Aggregates of one interval for people: day by day, with true names and units; time in microseconds.
SELECT made.day_ns, grp, $source AS source, points.name, made.t // 1000 AS time, points.unit, made.* EXCLUDE (day_ns, t, time)
FROM (
    SELECT *, epoch_ns(time) AS t,
           t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day_ns
    FROM read_parquet($paths, hive_partitioning = false)
) AS made
JOIN points USING (point)
WHERE made.t >= $start_ns AND made.t < $end_ns
ORDER BY day_ns, points.pt, made.t;
