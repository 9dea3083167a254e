-- name: lock
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- name: known
SELECT token, start_ns, end_ns, holder, place, pid, started, held, fenced,
    coalesce(to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'an unknown time'),
    changing && int8range(%(start_ns)s, %(end_ns)s),
    coalesce(clock_timestamp() - missed_at > make_interval(secs => %(quiet_s)s), false),
    (SELECT array_agg(ARRAY[lower(part), upper(part)]) FROM unnest(changing) AS part)
FROM leases_now
WHERE source = %(source)s AND point_group = %(group)s
ORDER BY token

-- name: missed
UPDATE leases SET missed_at = clock_timestamp() WHERE token = %(token)s AND missed_at IS NULL

-- name: fence
UPDATE leases SET fenced = true WHERE token = %(token)s

-- name: fence_all
UPDATE leases
SET fenced = true
WHERE source = %(source)s AND point_group = %(group)s AND span && int8range(%(start_ns)s, %(end_ns)s)

-- name: take
INSERT INTO leases (source, point_group, start_ns, end_ns, holder, place, pid, started)
VALUES (%(source)s, %(group)s, %(start_ns)s, %(end_ns)s, %(holder)s, %(place)s, %(pid)s, %(started)s)
RETURNING token

-- name: hold
SELECT pg_advisory_lock(lease_key(%(token)s)), set_config('application_name', %(holder)s, false)

-- name: held
SELECT token
FROM leases
WHERE token = %(token)s AND NOT fenced
    AND EXISTS (SELECT FROM locks_held WHERE key = lease_key(%(token)s) AND pid = pg_backend_pid())

-- The same for a transaction that writes: nobody fences the lease before its end.
-- name: held_on
SELECT token
FROM leases
WHERE token = %(token)s AND NOT fenced
    AND EXISTS (SELECT FROM locks_held WHERE key = lease_key(%(token)s) AND pid = pg_backend_pid())
FOR SHARE

-- name: begin
UPDATE leases SET changing = changing + int8multirange(int8range(%(start_ns)s, %(end_ns)s)) WHERE token = %(token)s

-- name: settle
UPDATE leases SET changing = changing - int8multirange(int8range(%(start_ns)s, %(end_ns)s)) WHERE token = %(token)s

-- name: forget
DELETE FROM leases WHERE token = %(token)s

-- name: free
SELECT pg_advisory_unlock(lease_key(%(token)s))
