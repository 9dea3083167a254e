-- name: stage
CREATE TEMPORARY TABLE told (subject text COLLATE "C" NOT NULL, body text NOT NULL) ON COMMIT DROP

-- name: copy
COPY told FROM STDIN (FORMAT csv)

-- Two at once would each append the other's changes.
-- name: lock
SELECT pg_advisory_xact_lock(lock_key(%(name)s))

-- name: append
INSERT INTO attributes (source, kind, subject, body, before_seq)
SELECT %(source)s, %(kind)s, t.subject, t.body::json, n.seq
FROM told t
LEFT JOIN LATERAL (
    SELECT seq, body
    FROM attributes a
    WHERE a.source = %(source)s AND a.kind = %(kind)s AND md5(a.subject) = md5(t.subject) AND a.subject = t.subject
    ORDER BY seq DESC
    LIMIT 1
) n ON true
WHERE n.body::text IS DISTINCT FROM t.body

-- What is not among those that were told, nor could not be read.
-- name: end
INSERT INTO attributes (source, kind, subject, body, before_seq)
SELECT n.source, n.kind, n.subject, NULL, n.seq
FROM attributes_now n
WHERE n.source = %(source)s AND n.kind = %(kind)s AND n.body IS NOT NULL AND n.subject <> ALL(%(kept)s)
    AND NOT EXISTS (SELECT FROM told t WHERE t.subject = n.subject)

-- name: newest
SELECT coalesce(max(seq), 0) FROM attributes WHERE source = %(source)s

-- name: count
SELECT count(*) FROM attributes_now WHERE source = %(source)s AND kind = %(kind)s AND body IS NOT NULL

-- name: values
COPY (
    SELECT n.subject, e.key, e.value
    FROM attributes_now n
    CROSS JOIN LATERAL json_each_text(n.body) e
    WHERE n.source = %(source)s AND n.kind = %(kind)s AND n.body IS NOT NULL
) TO STDOUT (FORMAT csv, FORCE_QUOTE (subject, key, value))

-- name: changes
COPY (
    SELECT kind, subject, attribute, before, after, (extract(epoch FROM seen_at) * 1000000000)::bigint
    FROM attribute_changes
    WHERE source = %(source)s
    ORDER BY seq, attribute
) TO STDOUT (FORMAT csv, FORCE_QUOTE (kind, subject, attribute, before, after))

-- name: changes_since
SELECT kind, subject, attribute, before, after
FROM attribute_changes
WHERE source = %(source)s AND seq > %(seq)s
ORDER BY seq, attribute
LIMIT %(limit)s
