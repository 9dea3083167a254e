-- What a source says of its points beside the catalogue: versions of all attributes of a point, and of the states of a
-- digital set. A version is added when something in it changed.

CREATE TABLE attributes (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('point', 'digital_set')),
    subject text COLLATE "C" NOT NULL,  -- id of the point, name of the set
    body json,  -- of a point its attributes by name, of a set its states by number; null for a set that is gone
    before_seq bigint  -- the version before it
);
CREATE INDEX attributes_newest ON attributes (source, kind, md5(subject), seq DESC);
CREATE INDEX attributes_changed ON attributes (source, seq) WHERE before_seq IS NOT NULL;

CREATE VIEW attributes_now AS
SELECT DISTINCT ON (source, kind, md5(subject), subject) *
FROM attributes
ORDER BY source, kind, md5(subject), subject, seq DESC;

-- What changed, when it was seen: before is null for what was not there, after for what is there no more.
CREATE VIEW attribute_changes AS
SELECT n.seq, n.source, n.kind, n.subject, c.attribute, c.before, c.after, n.recorded_at AS seen_at
FROM attributes n
JOIN attributes o ON o.seq = n.before_seq
CROSS JOIN LATERAL (
    SELECT key AS attribute, b.value AS before, a.value AS after
    FROM json_each_text(coalesce(o.body, '{}')) b
    FULL JOIN json_each_text(coalesce(n.body, '{}')) a USING (key)
    WHERE b.value IS DISTINCT FROM a.value
) c
WHERE n.before_seq IS NOT NULL;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attributes
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
