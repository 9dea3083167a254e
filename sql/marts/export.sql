-- Every event of the window for people: day by day, with true names and units. time: in $unit_ns, rounded down.
SELECT t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day_ns, grp,
       $source AS source, points.point, points.name,
       (t - ((t % $unit_ns) + $unit_ns) % $unit_ns) // $unit_ns AS time, t AS time_ns,
       tie, value, text, long, code, quality, detail, points.unit
FROM events
JOIN points USING (pt)
ORDER BY day_ns, pt, t, tie;
