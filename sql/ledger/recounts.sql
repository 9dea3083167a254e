-- name: hand_over
INSERT INTO handovers (source, at_ns) VALUES (%(source)s, %(at_ns)s) ON CONFLICT DO NOTHING

-- name: handover
SELECT at_ns FROM handovers WHERE source = %(source)s

-- name: append
INSERT INTO recounts (source, point_group, start_ns, end_ns, asked_ns, deep, differing, side, points)
VALUES (%(source)s, %(group)s, %(start_ns)s, %(end_ns)s, %(asked_ns)s, %(deep)s, %(differing)s, %(side)s, %(points)s)

-- name: newest
SELECT source, point_group, start_ns, end_ns, asked_ns, deep, differing, side, points, seq
FROM (
    SELECT DISTINCT ON (point_group, start_ns, end_ns, deep) *
    FROM recounts
    WHERE source = %(source)s AND side = %(side)s AND span && int8range(%(start_ns)s, %(end_ns)s)
    ORDER BY point_group, start_ns, end_ns, deep, seq DESC
) AS newest
ORDER BY seq
