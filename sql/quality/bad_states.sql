-- What was said instead of a good value, per point and UTC day: the text of bad events, '' for bad numbers.
SELECT grp, points.point, day AS time, text, quality, detail, events
FROM (
    SELECT pt, t - ((t % 86400000000000) + 86400000000000) % 86400000000000 AS day,
           coalesce(text, '') AS text, quality, detail, count(*) AS events
    FROM events
    WHERE inside AND quality < 64
    GROUP BY ALL
)
JOIN points USING (pt)
ORDER BY pt, day, text, quality, detail;
