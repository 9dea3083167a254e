-- name: points
-- pt: number of a point, group by group in the order of ids. grp: place of its group. linear: the point is a line between its events, else it is held.
CREATE TABLE points (
    pt INTEGER NOT NULL,
    grp INTEGER NOT NULL,
    point VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    unit VARCHAR NOT NULL,
    linear BOOLEAN NOT NULL,
    numeric BOOLEAN NOT NULL,
    low DOUBLE,
    high DOUBLE
);

-- name: events
-- t: UTC nanoseconds. inside: of the window; the others are the event on either side of it, one a point.
-- long: bytes of a text that has more than 1000; `text` is then its beginning and a digest, for sorts hold whole rows.
CREATE TABLE events (
    pt INTEGER NOT NULL,
    t BIGINT NOT NULL,
    tie INTEGER NOT NULL,
    value DOUBLE,
    text VARCHAR,
    long BIGINT,
    code BIGINT,
    quality INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    inside BOOLEAN NOT NULL
);

-- name: landed
-- Landed files, for the part of their span in which they are the current generation.
INSERT INTO events
SELECT points.pt, epoch_ns(landed.time), landed.tie, landed.value,
       CASE WHEN strlen(landed.text) > 1000 THEN left(landed.text, 200) || '… ' || md5(landed.text) ELSE landed.text END,
       CASE WHEN strlen(landed.text) > 1000 THEN strlen(landed.text) END,
       landed.code, landed.quality, landed.detail, true
FROM read_parquet($paths, hive_partitioning = false) AS landed
JOIN points ON points.point = landed.point
WHERE epoch_ns(landed.time) >= $start_ns AND epoch_ns(landed.time) < $end_ns;

-- name: lacking
-- Groups with a point that has no event on the side $direction of the window, -1 before or 1 after.
SELECT DISTINCT grp
FROM points
ANTI JOIN (SELECT pt FROM events WHERE NOT inside AND (t < $edge_ns) = ($direction < 0)) AS found USING (pt);

-- name: nearest
-- The event nearest to the window in files beside it, of each point that has none yet on that side: $direction -1 the
-- last, 1 the first. Files are read from the window outwards; a point is in one file of a part of time.
INSERT INTO events
SELECT pt, nearest.t, nearest.tie, nearest.value, nearest.text, NULL, nearest.code, nearest.quality, nearest.detail,
       false
FROM (
    SELECT points.pt,
           arg_min(
               struct_pack(t := epoch_ns(landed.time), tie := landed.tie, value := landed.value,
                           text := CASE WHEN strlen(landed.text) > 1000
                                        THEN left(landed.text, 200) || '… ' || md5(landed.text) ELSE landed.text END,
                           code := landed.code, quality := landed.quality,
                           detail := landed.detail),
               struct_pack(t := $direction * epoch_ns(landed.time), tie := $direction * landed.tie)
           ) AS nearest
    FROM read_parquet($paths, hive_partitioning = false) AS landed
    JOIN (
        SELECT pt, point
        FROM points
        ANTI JOIN (SELECT pt FROM events WHERE NOT inside AND (t < $edge_ns) = ($direction < 0)) AS found USING (pt)
    ) AS points ON points.point = landed.point
    WHERE epoch_ns(landed.time) >= $start_ns AND epoch_ns(landed.time) < $end_ns
    GROUP BY points.pt
);

-- name: neighbours
-- Each event of the window beside the event before it and the one after it, of the same point.
-- number: the value where it is usable (finite, quality good or uncertain), else null; a null number breaks the line.
-- seq: position in the order of point, time and tie, so the last tie of a stamp is the highest.
-- arrival: what the event before comes to just before this one; null where that was not usable.
-- slope, arrival_slope: of the line after and before this event, per nanosecond; 0 where the number is held instead.
-- One sort over all points: PARTITION BY pt says the same and costs more than twice as much.
CREATE TABLE neighbours AS
SELECT pt, t, tie, value, quality, number, good, seq, previous_t, previous_number, previous_good, next_t, next_number,
       CASE WHEN linear AND number IS NOT NULL AND previous_number IS NOT NULL THEN number
            ELSE previous_number END AS arrival,
       CASE WHEN linear AND t > previous_t THEN coalesce((number - previous_number) / (t - previous_t), 0)
            ELSE 0 END AS arrival_slope,
       CASE WHEN linear AND next_t > t THEN coalesce((next_number - number) / (next_t - t), 0) ELSE 0 END AS slope
FROM (
    SELECT pt, t, tie, inside, value, quality, number, good, seq, linear,
           CASE WHEN previous_pt = pt THEN previous_t END AS previous_t,
           CASE WHEN previous_pt = pt THEN previous_number END AS previous_number,
           coalesce(previous_pt = pt AND previous_good, false) AS previous_good,
           CASE WHEN next_pt = pt THEN next_t END AS next_t,
           CASE WHEN next_pt = pt THEN next_number END AS next_number
    FROM (
        SELECT *,
               row_number() OVER neighbour AS seq,
               lag(pt) OVER neighbour AS previous_pt,
               lag(t) OVER neighbour AS previous_t,
               lag(number) OVER neighbour AS previous_number,
               lag(good) OVER neighbour AS previous_good,
               lead(pt) OVER neighbour AS next_pt,
               lead(t) OVER neighbour AS next_t,
               lead(number) OVER neighbour AS next_number
        FROM (
            SELECT pt, t, tie, value, quality, inside, quality >= 192 AS good,
                   CASE WHEN quality >= 64 AND isfinite(value) THEN value END AS number
            FROM events
        )
        WINDOW neighbour AS (ORDER BY pt, t, tie)
    )
    JOIN points USING (pt)
)
WHERE inside;

-- name: states
-- The events without a number. changed: not the state before it; the first that is known changes nothing.
CREATE TABLE states AS
SELECT * EXCLUDE (inside)
FROM (
    SELECT pt, t, text, quality >= 64 AS usable, inside,
           lag(t) OVER neighbour IS NOT NULL
               AND (text IS DISTINCT FROM lag(text) OVER neighbour
                    OR code IS DISTINCT FROM lag(code) OVER neighbour) AS changed
    FROM events
    WHERE value IS NULL
    WINDOW neighbour AS (PARTITION BY pt ORDER BY t, tie)
)
WHERE inside;
