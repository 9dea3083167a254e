-- Every event of the window for people: day by day, with true names and units.
SELECT t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day_ns,
       points.point, points.name, t AS time, tie, value, text, code, quality, detail, points.unit
FROM events
JOIN points USING (pt)
ORDER BY day_ns, pt, t, tie;
