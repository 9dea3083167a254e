-- Who works on what now. Not history, so not append-only: a row goes when its lease is given back, and what is left of a
-- holder whose session is gone says what it never finished (docs/decisions/0014-fencing.md).
CREATE TABLE leases (
    token bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    holder text NOT NULL,
    place text NOT NULL,  -- where the holder's process can be looked for, and which one it is
    pid bigint NOT NULL,
    started text NOT NULL,
    changing int8multirange NOT NULL DEFAULT '{}',  -- where it has begun to change the store and has not committed
    missed_at timestamptz,  -- when its session was first seen to be gone
    fenced boolean NOT NULL DEFAULT false,  -- it may neither change nor commit anything any more
    CHECK (end_ns > start_ns)
);
CREATE INDEX leases_by_group ON leases (source, point_group);

-- A lease is held as long as its session has this lock: the server frees it with the session, however that ends.
CREATE FUNCTION lease_key(token bigint) RETURNS bigint STABLE STRICT
    RETURN lock_key('lease' || chr(31) || token);

-- Sessions that hold an advisory lock, by its key: a 64-bit one shows in pg_locks as two halves, objsubid 1.
CREATE VIEW locks_held AS
SELECT pid, (classid::bigint << 32 | objid::bigint) AS key
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

CREATE VIEW leases_now AS
SELECT l.*, k.pid IS NOT NULL AS held, a.backend_start
FROM leases l
LEFT JOIN locks_held k ON k.key = lease_key(l.token)
LEFT JOIN pg_stat_activity a ON a.pid = k.pid;
