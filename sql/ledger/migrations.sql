-- name: lock
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || chr(31) || 'migrations', 0))

-- name: server
SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_schema()

-- name: there
SELECT to_regclass('migrations') IS NOT NULL

-- name: create
CREATE TABLE IF NOT EXISTS migrations (
    version int PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: applied
SELECT version, name, checksum FROM migrations ORDER BY version

-- name: append
INSERT INTO migrations (version, name, checksum) VALUES (%(version)s, %(name)s, %(checksum)s)
