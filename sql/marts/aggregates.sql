-- One row per point and bucket of $step_ns that holds at least one event, clipped to the window.
-- Each event stands for the time until the next event or the bucket's end (tail); the first of a bucket also for the
-- time since the bucket began (head), in which the event before still holds. So every interval needs one pass only.
-- A mean, twa or deviation that does not fit into a double is null.
WITH bucketed AS (
    SELECT *,
           t - ((t % $step_ns) + $step_ns) % $step_ns AS bucket,
           least(coalesce(next_t, $end_ns), bucket + $step_ns, $end_ns) AS upto,
           (upto - t)::DOUBLE AS tail,
           CASE WHEN previous_t < greatest(bucket, $start_ns) THEN (t - greatest(bucket, $start_ns))::DOUBLE
                ELSE 0 END AS head
    FROM neighbours
),
weighed AS (
    SELECT *,
           CASE WHEN number IS NULL THEN 0 ELSE tail END + CASE WHEN arrival IS NULL THEN 0 ELSE head END AS weight,
           CASE WHEN good THEN tail ELSE 0 END + CASE WHEN previous_good THEN head ELSE 0 END AS good_time,
           coalesce(tail * (number + slope * tail / 2), 0)
               + CASE WHEN head > 0 THEN coalesce(head * (arrival - arrival_slope * head / 2), 0) ELSE 0 END AS area
    FROM bucketed
),
numbers AS (
    SELECT pt, bucket,
           count(*) AS events,
           count(*) FILTER (good) AS good,
           count(number) AS numbers,
           sum(good_time) AS good_time,
           avg(number) AS mean,
           sum(area) / nullif(sum(weight), 0) AS twa,
           stddev_samp(number) AS stddev,
           min(number) AS min,
           max(number) AS max,
           arg_min(number, seq) AS first,
           min(t) FILTER (number IS NOT NULL) AS first_ns,
           arg_max(number, seq) AS last,
           max(t) FILTER (number IS NOT NULL) AS last_ns,
           quantile_cont(number, 0.95) AS p95
    FROM weighed
    GROUP BY pt, bucket
),
state_counts AS (
    SELECT pt, t - ((t % $step_ns) + $step_ns) % $step_ns AS bucket, text, usable,
           count(*) AS events, count(*) FILTER (changed) AS changes
    FROM states
    GROUP BY ALL
),
bucket_states AS (
    SELECT pt, bucket, arg_min(text, struct_pack(place := -events, text := text)) FILTER (usable) AS state,
           sum(changes)::BIGINT AS changes
    FROM state_counts
    GROUP BY pt, bucket
)
SELECT grp, points.point, bucket AS time, events, good, numbers,
       100.0 * good / events AS percent_good,
       100.0 * good_time / (least(bucket + $step_ns, $end_ns) - greatest(bucket, $start_ns)) AS percent_good_time,
       CASE WHEN isfinite(mean) THEN mean END AS mean,
       CASE WHEN isfinite(twa) THEN twa END AS twa,
       min, max, first, first_ns, last, last_ns,
       CASE WHEN isfinite(stddev) THEN stddev END AS stddev,
       p95, state, changes
FROM numbers
JOIN points USING (pt)
LEFT JOIN bucket_states USING (pt, bucket)
ORDER BY pt, bucket;
