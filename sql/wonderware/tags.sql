-- Configuration tables of the Runtime database (facts/historians.md 2.8): ordinary SQL Server tables.

-- All of them: what is left out is named. Whose a tag is says AcquisitionType, not its name (HIST/1220349). Texts are given
-- as their bytes, which no driver changes.
-- name: tags
SELECT CAST(t.TagName AS varbinary(512)) AS Name, t.TagType, t.AcquisitionType, t.wwTagKey,
    CAST(t.Description AS varbinary(1024)) AS Description, t.StorageType, CAST(u.Unit AS varbinary(64)) AS Unit,
    a.MinEU, a.MaxEU, CAST(m.Message0 AS varbinary(128)) AS Message0, CAST(m.Message1 AS varbinary(128)) AS Message1
FROM Tag AS t
LEFT JOIN AnalogTag AS a ON a.TagName = t.TagName
LEFT JOIN EngineeringUnit AS u ON u.EUKey = a.EUKey
LEFT JOIN DiscreteTag AS d ON d.TagName = t.TagName
LEFT JOIN Message AS m ON m.MessageKey = d.MessageKey

-- name: keys
SELECT TagName, wwTagKey FROM Tag WHERE TagName IN ({names})

-- Who answers, and what its clock says, seconds since 1970 in UTC.
-- name: probe
SELECT COUNT(*) AS Tags,
    CAST(DATEDIFF(day, '19700101', GETUTCDATE()) AS bigint) * 86400
        + DATEDIFF(second, CAST(GETUTCDATE() AS date), GETUTCDATE()) AS NowS
FROM Tag
