-- Why a source does not list a point that it listed before. 'missing': so many went at once that it is not believed, the
-- point counts as there, and a person is asked; 'gone': believed, its history is only here; 'unselected': the plant file
-- no longer asks for it. Null for what is listed, and for what vanished before this was kept.
ALTER TABLE points ADD COLUMN absent text CHECK (absent IN ('missing', 'gone', 'unselected'));
-- Who said that points which a discovery missed are gone; '' where nobody was asked.
ALTER TABLE discoveries ADD COLUMN accepted_by text NOT NULL DEFAULT '';
CREATE INDEX points_absent ON points (source, seq) WHERE vanished OR absent IS NOT NULL;

-- A B-tree's entry has at most 2,704 bytes, and one long name failed the whole catalogue: texts of a source are indexed by
-- a hash. The views sort by it first, so that they still read the index in its order.
SET LOCAL statement_timeout = 0;
DROP INDEX points_newest;
CREATE INDEX points_newest ON points (source, md5(point), seq DESC);
CREATE OR REPLACE VIEW points_now AS
SELECT DISTINCT ON (source, md5(point), point) *
FROM points
ORDER BY source, md5(point), point, seq DESC;

ALTER TABLE superseded_proofs DROP CONSTRAINT superseded_proofs_pkey;
CREATE UNIQUE INDEX superseded_proofs_by_point ON superseded_proofs (slice_seq, md5(point));
CREATE OR REPLACE VIEW proofs_now AS
SELECT s.source, s.point_group, s.start_ns, s.end_ns, s.span, s.start_at, s.end_at, s.generation, p.*
FROM proven_slices s
JOIN proofs p ON p.slice_seq = s.seq
WHERE NOT EXISTS (
    SELECT FROM superseded_proofs u
    WHERE u.slice_seq = p.slice_seq AND md5(u.point) = md5(p.point) AND u.point = p.point);

DROP INDEX journal_by_id;
CREATE INDEX journal_by_id ON journal (source, md5(id), seq);
CREATE OR REPLACE VIEW journal_now AS
SELECT DISTINCT ON (source, md5(id), id) *, readable(time_ns) AS at
FROM journal
ORDER BY source, md5(id), id, seq DESC;
