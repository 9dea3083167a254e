-- name: load
SELECT source, point_group, since_ns, read_ns, markers FROM watches WHERE source = %(source)s ORDER BY point_group

-- name: save
INSERT INTO watches (source, point_group, since_ns, read_ns, markers)
VALUES (%(source)s, %(group)s, %(since_ns)s, %(read_ns)s, %(markers)s)
ON CONFLICT (source, point_group)
DO UPDATE SET since_ns = excluded.since_ns, read_ns = excluded.read_ns, markers = excluded.markers
