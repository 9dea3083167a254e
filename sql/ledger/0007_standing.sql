-- The rows of `slices` that still say something: no later slice of their group that was verified or settled holds all of
-- their span. Derived from `slices`, so not append-only: a plant that is followed adds three rows a minute and group, and
-- what reads the history of a year would read all of them.
CREATE TABLE slices_standing (LIKE slices, PRIMARY KEY (seq));
CREATE INDEX slices_standing_by_span ON slices_standing USING gist (span);

INSERT INTO slices_standing
SELECT *
FROM slices s
WHERE NOT EXISTS (
    SELECT FROM slices n
    WHERE n.source = s.source AND n.point_group = s.point_group AND n.seq > s.seq
        AND n.state IN ('verified', 'settled') AND n.generation <> '' AND n.span @> s.span
);
