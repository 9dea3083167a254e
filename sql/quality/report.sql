-- Figures of the quality report. Tables: catalogue(point, name, …), hours (1h aggregates), point_days and bad_states
-- (quality marts), each already limited to the span: whole UTC days of it from the marts, its parts of days from the
-- landing.

-- name: tables
CREATE TABLE catalogue (point VARCHAR, name VARCHAR, kind VARCHAR, unit VARCHAR, description VARCHAR);
CREATE TABLE hours (
    point VARCHAR, time_ns BIGINT, events BIGINT, good BIGINT, percent_good_time DOUBLE, min DOUBLE, max DOUBLE
);
CREATE TABLE point_days (
    point VARCHAR, time_ns BIGINT, length_s DOUBLE, events BIGINT, bad BIGINT, uncertain BIGINT, substituted BIGINT, states BIGINT,
    non_finite BIGINT, ties BIGINT, out_of_limits BIGINT, longest_gap_s DOUBLE, stuck_s DOUBLE,
    percent_good_time DOUBLE, max_events_per_s BIGINT, first_ns BIGINT, last_ns BIGINT
);
CREATE TABLE bad_states (point VARCHAR, time_ns BIGINT, text VARCHAR, quality INTEGER, events BIGINT);

-- name: fill_catalogue
INSERT INTO catalogue BY NAME SELECT * FROM given;

-- name: fill_hours
INSERT INTO hours BY NAME
SELECT point, epoch_ns(time) AS time_ns, events, good, percent_good_time, min, max
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) >= $start_ns AND epoch_ns(time) < $end_ns;

-- name: add_hours
INSERT INTO hours BY NAME
SELECT point, epoch_ns(time) AS time_ns, events, good, percent_good_time, min, max
FROM given;

-- name: fill_point_days
INSERT INTO point_days BY NAME
SELECT point, epoch_ns(time) AS time_ns, 86400.0 AS length_s, events, bad, uncertain, substituted, states, non_finite,
       ties, out_of_limits, longest_gap_s, stuck_s, percent_good_time, max_events_per_s, first_ns, last_ns
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) >= $start_ns AND epoch_ns(time) < $end_ns;

-- name: add_point_days
INSERT INTO point_days BY NAME
SELECT point, epoch_ns(time) AS time_ns, $length_s AS length_s, events, bad, uncertain, substituted, states, non_finite,
       ties, out_of_limits, longest_gap_s, stuck_s, percent_good_time, max_events_per_s, first_ns, last_ns
FROM given;

-- name: fill_bad_states
INSERT INTO bad_states BY NAME
SELECT point, epoch_ns(time) AS time_ns, text, quality, events
FROM read_parquet($files, hive_partitioning = false)
WHERE epoch_ns(time) >= $start_ns AND epoch_ns(time) < $end_ns;

-- name: add_bad_states
INSERT INTO bad_states BY NAME
SELECT point, epoch_ns(time) AS time_ns, text, quality, events
FROM given;

-- name: rates
SELECT time_ns - (time_ns % $bin_ns + $bin_ns) % $bin_ns AS opens,
       sum(good)::BIGINT AS good, sum(events - good)::BIGINT AS other
FROM hours
GROUP BY opens
ORDER BY opens;

-- name: point_figures
-- One row per point that the quality marts know, over all its days in the span. The marts' gaps end at midnight;
-- `across` is the time from one day's last event to the next event, or from or to an end of the span.
-- known_days: of how many days of the span the marts know. constant: its usable numbers are all the same one.
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
),
ranges AS (
    SELECT point, max(max) = min(min) AS constant FROM hours GROUP BY point
)
SELECT point, coalesce(name, point) AS name, coalesce(kind, 'number') AS kind, coalesce(unit, '') AS unit,
       coalesce(description, '') AS description, count(*) AS known_days,
       sum(events)::BIGINT AS events, sum(bad)::BIGINT AS bad, sum(uncertain)::BIGINT AS uncertain,
       sum(substituted)::BIGINT AS substituted, sum(states)::BIGINT AS states,
       sum(non_finite)::BIGINT AS non_finite, sum(ties)::BIGINT AS ties,
       sum(out_of_limits)::BIGINT AS out_of_limits,
       coalesce(greatest(max(longest_gap_s), any_value(across.gap_s)), ($end_ns - $start_ns) / 1e9) AS longest_gap_s,
       max(stuck_s) AS stuck_s, sum(stuck_s) AS stuck_sum_s,
       sum(percent_good_time * length_s) / sum(length_s) FILTER (percent_good_time IS NOT NULL) AS percent_good_time,
       max(max_events_per_s) AS max_events_per_s, coalesce(any_value(ranges.constant), false) AS constant,
       any_value(said.worst) AS worst_state
FROM point_days
LEFT JOIN catalogue USING (point)
LEFT JOIN said USING (point)
LEFT JOIN across USING (point)
LEFT JOIN ranges USING (point)
GROUP BY ALL
ORDER BY name, point;

-- name: day_figures
-- One row per UTC day of the span of which the marts know something; good time is a mean over its points.
SELECT greatest(time_ns, $start_ns) AS opens, least(time_ns + 86400000000000, $end_ns) AS closes,
       count(*) AS points, count(*) FILTER (events = 0) AS silent,
       sum(events)::BIGINT AS events, sum(bad)::BIGINT AS bad, sum(uncertain)::BIGINT AS uncertain,
       avg(percent_good_time) AS percent_good_time
FROM point_days
GROUP BY time_ns
ORDER BY time_ns;

-- name: heat
-- Per point of `shown` (point, place) and bin: the share of good time in its hours that hold an event, null without one.
WITH bins AS (
    SELECT bin, greatest(bin, $start_ns) AS opens, least(bin + $bin_ns, $end_ns) AS closes
    FROM (SELECT unnest(range($start_ns - ($start_ns % $bin_ns + $bin_ns) % $bin_ns, $end_ns, $bin_ns)) AS bin)
),
told AS (
    SELECT point, time_ns - (time_ns % $bin_ns + $bin_ns) % $bin_ns AS bin,
           avg(percent_good_time) AS percent_good
    FROM hours
    GROUP BY ALL
)
SELECT place, opens, closes, percent_good
FROM shown
CROSS JOIN bins
LEFT JOIN told USING (point, bin)
ORDER BY place, opens;

-- name: bad_breakdown
SELECT text, CASE WHEN text = '' THEN quality END AS quality,
       sum(events)::BIGINT AS events, count(DISTINCT point) AS points
FROM bad_states
GROUP BY ALL
ORDER BY events DESC, text, quality;
