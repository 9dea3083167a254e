-- The History extension table. Full: every stored row, also repeated and bad ones. The bounds are whole milliseconds in
-- the documented literal form (facts/historians.md 2.6) around the span that is meant, the lower one excluded, so that
-- no initial row is made up (2.4); the exact span is cut by TimeNs, nanoseconds since 1970 that no driver rounds.

-- name: numbers
SELECT TagName,
    CAST(DATEDIFF(day, '19700101', DateTime) AS bigint) * 86400000000000
        + CAST(DATEDIFF(second, CAST(DateTime AS date), DateTime) AS bigint) * 1000000000
        + DATEPART(nanosecond, DateTime) AS TimeNs,
    Value, Quality, QualityDetail, OPCQuality
FROM History
WHERE TagName IN ({names})
    AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'
    AND DateTime > ? AND DateTime <= ?

-- The bytes of a text, which no driver changes; vValue is documented as nvarchar(4000) and as sql_variant.
-- name: texts
SELECT TagName,
    CAST(DATEDIFF(day, '19700101', DateTime) AS bigint) * 86400000000000
        + CAST(DATEDIFF(second, CAST(DateTime AS date), DateTime) AS bigint) * 1000000000
        + DATEPART(nanosecond, DateTime) AS TimeNs,
    CAST(CAST(vValue AS nvarchar(4000)) AS varbinary(8000)) AS Text,
    Quality, QualityDetail, OPCQuality, DATALENGTH(vValue) AS TextBytes
FROM History
WHERE TagName IN ({names})
    AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'
    AND DateTime > ? AND DateTime <= ?

-- A millisecond of a tag that every Historian has; no row where this one lacks it. Behind SQL Server the engine answers.
-- name: engine
SELECT TagName FROM History
WHERE TagName = 'SysTimeSec'
    AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'
    AND DateTime > '20200101 00:00:00.000' AND DateTime <= '20200101 00:00:00.001'

-- SQL Server counts and adds up what the retrieval engine gives; usable: not bad by the rules of decisions/0005.
-- name: count
SELECT h.TagName, COUNT_BIG(*) AS Events,
    SUM(CASE
        WHEN h.Quality <> 1 AND ((h.OPCQuality & 255) >= 64 OR (h.OPCQuality IS NULL AND h.Quality IN (0, 16)))
        THEN h.Value
    END) AS Total
FROM (
    SELECT TagName,
        CAST(DATEDIFF(day, '19700101', DateTime) AS bigint) * 86400000000000
            + CAST(DATEDIFF(second, CAST(DateTime AS date), DateTime) AS bigint) * 1000000000
            + DATEPART(nanosecond, DateTime) AS TimeNs,
        Value, Quality, QualityDetail, OPCQuality
    FROM History
    WHERE TagName IN ({names})
        AND wwRetrievalMode = 'Full' AND wwTimeZone = 'UTC' AND wwVersion = 'Latest'
        AND DateTime > ? AND DateTime <= ?
) AS h
WHERE h.TimeNs >= ? AND h.TimeNs < ?
    AND h.Quality <> 133 AND (h.QualityDetail IS NULL OR h.QualityDetail <> 65536)
GROUP BY h.TagName
