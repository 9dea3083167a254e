-- The rows of `slices` that still say something: no later slice of their group that was verified or settled holds all of
-- their span. Derived, so not append-only: a plant that is followed adds three rows a minute and group, and what reads the
-- history of a year would read all of them. By a trigger, so that processes of an older version keep it, too.
LOCK TABLE slices IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE slices_standing (LIKE slices, PRIMARY KEY (seq));

CREATE FUNCTION keep_standing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IN ('verified', 'settled') AND NEW.generation <> '' THEN
        DELETE FROM slices_standing
        WHERE source = NEW.source AND point_group = NEW.point_group AND span <@ NEW.span AND seq < NEW.seq;
    END IF;
    INSERT INTO slices_standing SELECT NEW.*;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_standing AFTER INSERT ON slices FOR EACH ROW EXECUTE FUNCTION keep_standing();

-- For each row the few that hold its span, by the index: the planner would rather compare every two of a group.
SET LOCAL statement_timeout = 0;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off;

INSERT INTO slices_standing
SELECT *
FROM slices s
WHERE NOT EXISTS (
    SELECT FROM slices n
    WHERE n.source = s.source AND n.point_group = s.point_group AND n.seq > s.seq
        AND n.state IN ('verified', 'settled') AND n.generation <> '' AND n.span @> s.span
);

RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_seqscan;

CREATE INDEX slices_standing_by_span ON slices_standing USING gist (span);
