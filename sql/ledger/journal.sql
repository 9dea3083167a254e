-- name: stage
CREATE TEMPORARY TABLE told (
    id text COLLATE "C", time_ns bigint, kind text, is_alarm boolean, priority integer, severity integer, object text,
    variable text, area text, by_user text, value text, previous text, comment text
) ON COMMIT DROP

-- name: copy
COPY told FROM STDIN (FORMAT csv)

-- Two at once would each append the other's entries.
-- name: lock
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- name: append
INSERT INTO journal (
    source, id, time_ns, kind, is_alarm, priority, severity, object, variable, area, by_user, value, previous, comment,
    version
)
SELECT %(source)s, t.*, md5(t::text)
FROM told t
LEFT JOIN journal_now n ON n.source = %(source)s AND n.id = t.id
WHERE n.version IS DISTINCT FROM md5(t::text)

-- name: standing
SELECT count(DISTINCT t.id)
FROM told t
JOIN journal_now n ON n.source = %(source)s AND n.id = t.id AND n.version = md5(t::text)

-- name: compared
INSERT INTO journal_windows (source, start_ns, end_ns, counted, entries)
VALUES (%(source)s, %(start_ns)s, %(end_ns)s, %(counted)s, %(entries)s)

-- name: entries
COPY (
    SELECT id, time_ns, kind, is_alarm::int, priority, severity, object, variable, area, by_user, value, previous, comment
    FROM journal_now
    WHERE source = %(source)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s
    ORDER BY time_ns, id
) TO STDOUT (FORMAT csv, FORCE_QUOTE (id, kind, object, variable, area, by_user, value, previous, comment))

-- name: number
SELECT count(*)
FROM journal_now
WHERE source = %(source)s AND time_ns >= %(start_ns)s AND time_ns < %(end_ns)s

-- name: alarms
COPY (
    SELECT object, variable, area, priority, severity, start_ns, acknowledged_ns, end_ns, value, comment
    FROM alarms
    WHERE source = %(source)s AND start_ns >= %(start_ns)s AND start_ns < %(end_ns)s
    ORDER BY start_ns, object, variable
) TO STDOUT (FORMAT csv, FORCE_QUOTE (object, variable, area, value, comment))

-- A window that was read once nothing late was waited for any more, and whose entries are as many as the source counted.
-- name: closed
SELECT EXISTS (
    SELECT FROM journal_windows
    WHERE source = %(source)s AND start_ns <= %(start_ns)s AND end_ns >= %(end_ns)s AND counted = entries
        AND recorded_at >= readable(%(settled_ns)s)
)
