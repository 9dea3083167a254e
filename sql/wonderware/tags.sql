-- Configuration tables of the Runtime database (facts/historians.md 2.8): ordinary SQL Server tables.

-- All of them: what is left out is named. Who reads a tag says AcquisitionType, not its name (HIST/1220349).
-- name: tags
SELECT t.TagName, t.TagType, t.AcquisitionType, t.wwTagKey, t.Description, t.StorageType,
    u.Unit, a.MinEU, a.MaxEU, m.Message0, m.Message1
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
