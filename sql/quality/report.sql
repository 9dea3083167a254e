-- Figures of the quality report. Tables: catalogue(point, name, …), hours (1h aggregates), point_days and bad_states
-- (quality marts), each already limited to the span.

-- name: tables
CREATE TABLE catalogue (point VARCHAR, name VARCHAR, kind VARCHAR, unit VARCHAR, description VARCHAR);
CREATE TABLE hours (point VARCHAR, time_ns BIGINT, events BIGINT, good BIGINT);
CREATE TABLE point_days (
    point VARCHAR, time_ns BIGINT, events BIGINT, bad BIGINT, uncertain BIGINT, substituted BIGINT, states BIGINT,
    non_finite BIGINT, ties BIGINT, out_of_limits BIGINT, longest_gap_s DOUBLE, stuck_s DOUBLE,
    percent_good_time DOUBLE, max_events_per_s BIGINT, first_ns BIGINT, last_ns BIGINT
);
CREATE TABLE bad_states (point VARCHAR, time_ns BIGINT, text VARCHAR, quality INTEGER, events BIGINT);

-- name: fill_catalogue
INSERT INTO catalogue BY NAME SELECT * FROM given;

-- name: fill_hours
INSERT INTO hours BY NAME
SELECT point, epoch_ns(time) AS time_ns, events, good
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) + 3600000000000 > $start_ns AND epoch_ns(time) < $end_ns;

-- name: fill_point_days
INSERT INTO point_days BY NAME
SELECT point, epoch_ns(time) AS time_ns, events, bad, uncertain, substituted, states, non_finite, ties,
       out_of_limits, longest_gap_s, stuck_s, percent_good_time, max_events_per_s, first_ns, last_ns
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) + 86400000000000 > $start_ns AND epoch_ns(time) < $end_ns;

-- name: fill_bad_states
INSERT INTO bad_states BY NAME
SELECT point, epoch_ns(time) AS time_ns, text, quality, events
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) + 86400000000000 > $start_ns AND epoch_ns(time) < $end_ns;

-- name: rates
SELECT $start_ns + (time_ns - $start_ns) // $bin_ns * $bin_ns AS opens,
       sum(good)::BIGINT AS good, sum(events - good)::BIGINT AS other
FROM hours
GROUP BY opens
ORDER BY opens;

-- name: point_figures
-- One row per point that the quality marts know, over all its days in the span. The marts' gaps end at midnight;
-- `across` is the time from one day's last event to the next event, or from or to an end of the span.
WITH across AS (
    SELECT point, max(gap_ns) / 1e9 AS gap_s
    FROM (
        SELECT point,
               greatest(
                   first_ns - coalesce(lag(last_ns) OVER days, $start_ns),
                   coalesce(lead(first_ns) OVER days, $end_ns) - last_ns
               ) AS gap_ns
        FROM point_days
        WHERE events > 0
        WINDOW days AS (PARTITION BY point ORDER BY time_ns)
    )
    GROUP BY point
),
said AS (
    SELECT point, arg_max(text, struct_pack(events := events, text := text)) AS worst
    FROM (SELECT point, text, sum(events)::BIGINT AS events FROM bad_states GROUP BY ALL)
    GROUP BY point
)
SELECT point, coalesce(name, point) AS name, coalesce(kind, 'number') AS kind, coalesce(unit, '') AS unit,
       coalesce(description, '') AS description,
       sum(events)::BIGINT AS events, sum(bad)::BIGINT AS bad, sum(uncertain)::BIGINT AS uncertain,
       sum(substituted)::BIGINT AS substituted, sum(states)::BIGINT AS states,
       sum(non_finite)::BIGINT AS non_finite, sum(ties)::BIGINT AS ties,
       sum(out_of_limits)::BIGINT AS out_of_limits, coalesce(greatest(max(longest_gap_s), any_value(across.gap_s)), ($end_ns - $start_ns) / 1e9) AS longest_gap_s,
       max(stuck_s) AS stuck_s,
       avg(percent_good_time) AS percent_good_time, max(max_events_per_s) AS max_events_per_s,
       any_value(said.worst) AS worst_state
FROM point_days
LEFT JOIN catalogue USING (point)
LEFT JOIN said USING (point)
LEFT JOIN across USING (point)
GROUP BY ALL
ORDER BY name, point;

-- name: bad_breakdown
SELECT text, CASE WHEN text = '' THEN quality END AS quality,
       sum(events)::BIGINT AS events, count(DISTINCT point) AS points
FROM bad_states
GROUP BY ALL
ORDER BY events DESC, text, quality;
