-- name: group
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- name: take
SELECT pg_try_advisory_lock(lock_key(%(name)s)), set_config('application_name', %(holder)s, false)

-- name: free
SELECT pg_advisory_unlock(lock_key(%(name)s))

-- A 64-bit key shows in pg_locks as two halves, objsubid 1.
-- name: held
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = lock_key(%(name)s)
)

-- name: holder
SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM pg_locks l
JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (l.classid::bigint << 32 | l.objid::bigint) = lock_key(%(name)s)
