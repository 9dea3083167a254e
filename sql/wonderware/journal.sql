-- The Events view: alarms and operators' writes (facts/historians.md 2.8, HIST/202325). Bounds as in history.sql.

-- name: entries
SELECT ID,
    CAST(DATEDIFF(day, '19700101', EventTimeUtc) AS bigint) * 86400000000000
        + CAST(DATEDIFF(second, CAST(EventTimeUtc AS date), EventTimeUtc) AS bigint) * 1000000000
        + DATEPART(nanosecond, EventTimeUtc) AS TimeNs,
    Type, IsAlarm, Priority, Severity, Source_Object, Source_ProcessVariable, Source_Area, User_Name,
    ValueString, PreviousValueString, Comment
FROM Events
WHERE EventTimeUtc > ? AND EventTimeUtc <= ?

-- name: count
SELECT COUNT_BIG(*) AS Entries
FROM (
    SELECT CAST(DATEDIFF(day, '19700101', EventTimeUtc) AS bigint) * 86400000000000
        + CAST(DATEDIFF(second, CAST(EventTimeUtc AS date), EventTimeUtc) AS bigint) * 1000000000
        + DATEPART(nanosecond, EventTimeUtc) AS TimeNs
    FROM Events
    WHERE EventTimeUtc > ? AND EventTimeUtc <= ?
) AS e
WHERE e.TimeNs >= ? AND e.TimeNs < ?
