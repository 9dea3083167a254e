-- Figures of the quality report. Tables: catalogue(point, name, …), proofs, exclusions(point, reason, start_ns, end_ns),
-- hours (1h aggregates), point_days and bad_states (quality marts), each already limited to the span: whole UTC days of it
-- from the marts, its parts of days from the landing.
-- A proof row counts as proved when a proof was made and the source was asked.

-- name: tables
CREATE TABLE catalogue (point VARCHAR, name VARCHAR, kind VARCHAR, unit VARCHAR, description VARCHAR);
CREATE TABLE exclusions (point VARCHAR, reason VARCHAR);
CREATE TABLE proofs (
    point VARCHAR, proof VARCHAR, origin VARCHAR, source_events BIGINT, events BIGINT, stored_events BIGINT,
    "group" VARCHAR, start_ns BIGINT, end_ns BIGINT
);
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

-- name: fill_exclusions
INSERT INTO exclusions BY NAME SELECT * FROM given;

-- name: fill_proofs
INSERT INTO proofs BY NAME
SELECT point, proof, origin, source_events, events, stored_events, "group", start_ns, end_ns
FROM given
WHERE end_ns > $start_ns AND start_ns < $end_ns;

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

-- name: totals
SELECT coalesce(sum(source_events), 0)::BIGINT AS source_events,
       count(*) FILTER (source_events IS NULL) AS untold,
       coalesce(sum(events), 0)::BIGINT AS landed_events,
       coalesce(sum(stored_events), 0)::BIGINT AS stored_events,
       count(*) FILTER (stored_events IS NULL) AS unstored,
       count(DISTINCT point) AS points,
       count(DISTINCT "group") AS point_groups,
       count(DISTINCT ("group", start_ns, end_ns)) AS slices,
       count(*) AS point_slices
FROM proofs;

-- name: proof_kinds
SELECT CASE WHEN origin = 'none' THEN 'none' ELSE proof END AS proof,
       CASE WHEN proof = 'none' THEN 'none' ELSE origin END AS origin,
       count(DISTINCT point) AS points, count(*) AS point_slices, sum(events)::BIGINT AS events
FROM proofs
GROUP BY ALL
ORDER BY points DESC, proof, origin;

-- name: unproved
-- Points of which something in the span is not proved, and why: what a person wrote down comes first.
WITH proved AS (
    SELECT point, greatest(start_ns, $start_ns) AS start_ns, least(end_ns, $end_ns) AS end_ns
    FROM proofs
    WHERE proof <> 'none' AND origin <> 'none'
),
proved_time AS (
    -- Slices may overlap after a restatement: what an earlier one covered does not count twice.
    SELECT point, sum(greatest(end_ns - greatest(start_ns, reached), 0))::BIGINT AS proved_ns
    FROM (
        SELECT *, coalesce(max(end_ns) OVER (
            PARTITION BY point ORDER BY start_ns, end_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), start_ns) AS reached
        FROM proved
    )
    GROUP BY point
),
failed AS (
    SELECT point, count(*) AS slices,
           count(*) FILTER (events <> source_events OR events <> stored_events) AS differing,
           sum(source_events)::BIGINT AS source_events, sum(events)::BIGINT AS events,
           sum(stored_events)::BIGINT AS stored_events
    FROM proofs
    WHERE proof = 'none' OR origin = 'none'
    GROUP BY point
),
reasons AS (
    SELECT point, string_agg(DISTINCT reason, '; ' ORDER BY reason) AS reason
    FROM exclusions
    GROUP BY point
),
known AS (
    SELECT point, name FROM catalogue
    UNION ALL
    SELECT point, point FROM (SELECT point FROM proofs UNION SELECT point FROM exclusions)
    WHERE point NOT IN (SELECT point FROM catalogue)
),
groups AS (
    SELECT point, min("group") AS point_group FROM proofs GROUP BY point
)
SELECT known.point, known.name, groups.point_group, reasons.reason,
       coalesce(proved_ns, 0) AS proved_ns,
       coalesce(failed.slices, 0) AS slices, coalesce(differing, 0) AS differing,
       failed.source_events, failed.events, failed.stored_events
FROM known
LEFT JOIN proved_time USING (point)
LEFT JOIN failed USING (point)
LEFT JOIN reasons USING (point)
LEFT JOIN groups USING (point)
WHERE coalesce(proved_ns, 0) < $end_ns - $start_ns OR failed.point IS NOT NULL OR reasons.point IS NOT NULL
ORDER BY proved_ns NULLS FIRST, known.name;

-- name: coverage
-- Per point group and bin: the share of its points' time that is proved, and whether any slice was tried there.
WITH bins AS (
    SELECT start AS opens, least(start + $bin_ns, $end_ns) AS closes
    FROM (SELECT unnest(range($start_ns, $end_ns, $bin_ns)) AS start)
),
sizes AS (
    SELECT "group", count(DISTINCT point) AS points FROM proofs GROUP BY "group"
),
slices AS (
    SELECT "group", start_ns, end_ns, count(*) FILTER (proof <> 'none' AND origin <> 'none') AS proved
    FROM proofs
    GROUP BY ALL
)
SELECT sizes."group" AS point_group, bins.opens, bins.closes,
       count(slices.proved) AS tried,
       least(100, 100.0 * coalesce(sum(
           proved * (least(slices.end_ns, closes) - greatest(slices.start_ns, opens))::DOUBLE
       ), 0) / (any_value(sizes.points) * (closes - opens))) AS percent_proved
FROM sizes
CROSS JOIN bins
LEFT JOIN slices ON slices."group" = sizes."group" AND slices.start_ns < closes AND slices.end_ns > opens
GROUP BY sizes."group", opens, closes
ORDER BY point_group, opens;

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

-- name: drift
SELECT coalesce(name, point) AS name, "group" AS point_group, start_ns, end_ns, source_events, events, stored_events
FROM proofs
LEFT JOIN catalogue USING (point)
WHERE events <> source_events OR events <> stored_events
ORDER BY start_ns, name;
