-- What the history amounts to now: functions that the ledger itself reads, and views for people.

-- Advisory locks are one space for the whole database; a hash of schema and name keeps its users apart.
CREATE FUNCTION lock_key(name text) RETURNS bigint STABLE STRICT
    RETURN hashtextextended(current_schema() || chr(31) || name, 0);

-- Readable, cut to microseconds; for people only.
CREATE FUNCTION readable(time_ns bigint) RETURNS timestamptz IMMUTABLE STRICT
    RETURN timestamptz '1970-01-01 00:00:00+00' + interval '1 microsecond' * (time_ns / 1000);

CREATE FUNCTION cover_or_withdraw(intervals int8multirange, part int8multirange, covers boolean)
    RETURNS int8multirange IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN covers THEN intervals + part ELSE intervals - part END;

-- Verifications and withdrawals, one after the other.
CREATE AGGREGATE cover_in_order(part int8multirange, covers boolean) (
    SFUNC = cover_or_withdraw, STYPE = int8multirange, INITCOND = '{}'
);

-- The intervals covered now: the newest checkpoint, and every row since in its order.
CREATE FUNCTION covered(of_source text, of_group text) RETURNS int8multirange STABLE STRICT
BEGIN ATOMIC
    WITH checkpoint AS (
        SELECT upto_seq, intervals
        FROM coverage_checkpoints
        WHERE source = of_source AND point_group = of_group
        ORDER BY upto_seq DESC
        LIMIT 1
    ), parts AS (
        SELECT upto_seq AS seq, intervals AS part, true AS covers FROM checkpoint
        UNION ALL
        SELECT seq, span::int8multirange, covers
        FROM coverage
        WHERE source = of_source AND point_group = of_group
            AND seq > coalesce((SELECT upto_seq FROM checkpoint), 0)
    )
    SELECT cover_in_order(part, covers ORDER BY seq) FROM parts;
END;

CREATE VIEW coverage_now AS
SELECT source, point_group, lower(span) AS start_ns, upper(span) AS end_ns,
    readable(lower(span)) AS start_at, readable(upper(span)) AS end_at
FROM (SELECT DISTINCT source, point_group FROM coverage) AS known,
    unnest(covered(source, point_group)) AS span;

-- Between the first and the last covered instant of a group; before and after is the plant file's business.
CREATE VIEW gaps_now AS
SELECT source, point_group, lower(span) AS start_ns, upper(span) AS end_ns,
    readable(lower(span)) AS start_at, readable(upper(span)) AS end_at
FROM (
        SELECT source, point_group, covered(source, point_group) AS spans
        FROM (SELECT DISTINCT source, point_group FROM coverage) AS known
    ) AS covering,
    unnest(int8multirange(range_merge(spans)) - spans) AS span;

CREATE VIEW slices_now AS
SELECT DISTINCT ON (source, point_group, start_ns, end_ns)
    *, readable(start_ns) AS start_at, readable(end_ns) AS end_at,
    CASE WHEN retry_at_ns <> 0 THEN readable(retry_at_ns) END AS retry_at
FROM slices
ORDER BY source, point_group, start_ns, end_ns, seq DESC;

CREATE VIEW exclusions_now AS
SELECT e.*, readable(start_ns) AS start_at, readable(end_ns) AS end_at
FROM exclusions e
WHERE NOT EXISTS (SELECT FROM exclusion_closures c WHERE c.exclusion_seq = e.seq);

CREATE VIEW proven_slices AS
SELECT *, readable(start_ns) AS start_at, readable(end_ns) AS end_at
FROM slices s
WHERE proves AND NOT EXISTS (SELECT FROM superseded_slices u WHERE u.slice_seq = s.seq);

-- The proofs that still stand.
CREATE VIEW proofs_now AS
SELECT s.source, s.point_group, s.start_ns, s.end_ns, s.span, s.start_at, s.end_at, s.generation, p.*
FROM proven_slices s
JOIN proofs p ON p.slice_seq = s.seq
WHERE NOT EXISTS (SELECT FROM superseded_proofs u WHERE u.slice_seq = p.slice_seq AND u.point = p.point);

CREATE VIEW points_now AS
SELECT DISTINCT ON (source, point) *
FROM points
ORDER BY source, point, seq DESC;
