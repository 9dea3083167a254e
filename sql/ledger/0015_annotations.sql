-- What people wrote to single events: at least a row for every event that its source flags as annotated. Rows are only
-- added: a slice that is proved again brings its own, in the place of those in its span before.

CREATE TABLE annotations (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    slice_seq bigint NOT NULL,  -- the commit that it came with
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    point text COLLATE "C" NOT NULL,
    time_ns bigint NOT NULL,
    tie integer NOT NULL,
    place integer NOT NULL,  -- 0, or more for further ones of one event
    state text NOT NULL CHECK (state IN ('told', 'lacking', 'not_offered')),
    reason text NOT NULL,  -- why it is not told
    text text NOT NULL,
    author text NOT NULL,
    created_ns bigint,
    id text NOT NULL,
    title text NOT NULL,
    description text NOT NULL,
    modified_by text NOT NULL,
    modified_ns bigint
);
CREATE INDEX annotations_by_group ON annotations (source, point_group, time_ns);
CREATE INDEX annotations_by_time ON annotations (source, time_ns);

-- Slices whose commit speaks of the annotations of their span; none is written where there were none and are none.
CREATE TABLE annotation_slices (
    slice_seq bigint PRIMARY KEY,
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    span int8range NOT NULL
);
CREATE INDEX annotation_slices_by_span ON annotation_slices USING gist (span);

CREATE VIEW annotations_now AS
SELECT a.*, readable(a.time_ns) AS at, readable(a.created_ns) AS created
FROM annotations a
WHERE NOT EXISTS (
    SELECT FROM annotation_slices s
    WHERE s.source = a.source AND s.point_group = a.point_group AND s.span @> a.time_ns AND s.slice_seq > a.slice_seq);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON annotations
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON annotation_slices
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
