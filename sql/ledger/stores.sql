-- name: identity
SELECT identity::text FROM ledger_identity

-- name: append
INSERT INTO store_openings (state, token, note) VALUES (%(state)s, %(token)s, %(note)s)

-- name: newest
SELECT state::text, note FROM store_openings ORDER BY seq DESC LIMIT 1

-- Tokens that the store may have: of the last opening that came to its end, and of those begun since.
-- name: tokens
SELECT token::text
FROM store_openings
WHERE token IS NOT NULL
    AND seq >= coalesce((SELECT max(seq) FROM store_openings WHERE state = 'open'), 0)

-- name: was_open
SELECT EXISTS (SELECT FROM store_openings WHERE state = 'open')

-- When the store got a token that it had before the last; none where the ledger does not know it.
-- name: seen
SELECT to_char(max(recorded_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') FROM store_openings
WHERE token::text = %(token)s

-- Some covered generation with events, if there is one.
-- name: covers_events
SELECT EXISTS (
    SELECT FROM slices s
    WHERE s.state IN ('verified', 'settled') AND s.events > 0 AND s.note <> %(forgotten)s
        AND covered_by_rows(s.source, s.point_group) && s.span::int8multirange
)

-- name: groups
SELECT DISTINCT source, point_group FROM coverage ORDER BY 1, 2

-- What was withdrawn for that reason and neither covered nor withdrawn for another one since.
-- name: withdrawn
SELECT lower(span), upper(span)
FROM unnest((
    SELECT cover_in_order(span::int8multirange, NOT covers AND reason = %(reason)s ORDER BY seq)
    FROM coverage
    WHERE source = %(source)s AND point_group = %(group)s
        AND seq >= (SELECT min(seq) FROM coverage WHERE NOT covers AND reason = %(reason)s)
)) AS span
ORDER BY 1
