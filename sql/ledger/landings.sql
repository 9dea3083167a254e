-- name: alone
SELECT pg_advisory_xact_lock(hashtextextended('landings', 0))

-- name: newest
SELECT landing, place FROM landings ORDER BY seq DESC LIMIT 1

-- name: append
INSERT INTO landings (landing, place) VALUES (%(landing)s, %(place)s)
