-- The append-only ledger: rows are added and never changed or removed, so that what was once claimed stays readable.
-- Times *_ns are int64 nanoseconds UTC since 1970; spans are half-open, [start_ns, end_ns).
-- One sequence numbers the rows of every table: a lower seq happened before, across tables (see the locks below).
-- Names sort by bytes (COLLATE "C"): an upgrade of the system's collations can't break these indexes.

CREATE SEQUENCE ledger_seq;

CREATE TABLE slices (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    state text NOT NULL CHECK (state IN (
        'planned', 'pulled', 'landed', 'written', 'verified', 'settled', 'retry_at', 'quarantined')),
    generation text NOT NULL,
    run_id text NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    points bigint NOT NULL CHECK (points >= 0),
    rounded bigint NOT NULL CHECK (rounded >= 0),
    note text NOT NULL,
    retry_at_ns bigint NOT NULL,
    proves boolean NOT NULL,  -- committed as verified or settled, with its proofs
    CHECK (end_ns > start_ns)
);
-- GiST, for what overlaps a span: a B-tree on (start_ns, end_ns) reads all that came before it.
CREATE INDEX slices_by_span ON slices USING gist (span);
CREATE INDEX slices_proven ON slices USING gist (span) WHERE proves;

-- covers: a verification; not covers: a withdrawal. The order decides: cover, withdraw, cover is covered.
CREATE TABLE coverage (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    covers boolean NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    generation text NOT NULL,
    run_id text NOT NULL,
    reason text NOT NULL,
    CHECK (end_ns > start_ns)
);
CREATE INDEX coverage_in_order ON coverage (source, point_group, seq);

-- What all rows of `coverage` up to upto_seq amount to. Derived: it only saves reading them again.
CREATE TABLE coverage_checkpoints (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    upto_seq bigint NOT NULL,
    intervals int8multirange NOT NULL
);
CREATE INDEX coverage_checkpoints_in_order ON coverage_checkpoints (source, point_group, upto_seq);

-- Point exceptions as they were opened; the part of one that outlives its closure is opened anew.
CREATE TABLE exclusions (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    point text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    reason text NOT NULL,
    slice_seq bigint REFERENCES slices (seq),  -- the commit that opened it; null for a point found after its group
    CHECK (end_ns > start_ns)
);
CREATE INDEX exclusions_by_span ON exclusions USING gist (span);

CREATE TABLE exclusion_closures (
    exclusion_seq bigint PRIMARY KEY REFERENCES exclusions (seq),
    slice_seq bigint NOT NULL REFERENCES slices (seq),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TYPE proof_kind AS ENUM ('none', 'counted', 'deep');
CREATE TYPE proof_origin AS ENUM ('none', 'spool', 're-read', 'independent');

-- One row a point and verification. Neither a foreign key nor a unique one on (slice_seq, point): each costs as much
-- as the row, and rows are only ever added in the transaction that adds their slice, which checks the points.
CREATE TABLE proofs (
    slice_seq bigint NOT NULL,
    point text COLLATE "C" NOT NULL,
    proof proof_kind NOT NULL,
    origin proof_origin NOT NULL,
    source_events bigint,
    events bigint NOT NULL,
    stored_events bigint,
    good bigint NOT NULL,
    first_ns bigint NOT NULL,
    last_ns bigint NOT NULL,
    total double precision NOT NULL,
    digest bigint
);
CREATE INDEX proofs_by_slice ON proofs (slice_seq);

-- Slices whose proofs no longer describe the store: withdrawn, or every point verified again, in part or in whole.
CREATE TABLE superseded_slices (
    slice_seq bigint PRIMARY KEY REFERENCES slices (seq),
    by_seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The same of single points, where a later slice verified only some of the points again.
CREATE TABLE superseded_proofs (
    slice_seq bigint NOT NULL,
    point text COLLATE "C" NOT NULL,
    by_seq bigint NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (slice_seq, point)
);

-- Versions of the point catalogue. body is JSON as text: jsonb refuses \u0000, which real descriptions hold.
CREATE TABLE points (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point text COLLATE "C" NOT NULL,
    vanished boolean NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    body json NOT NULL
);
CREATE INDEX points_newest ON points (source, point, seq DESC);

CREATE TABLE acceptances (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    accepted_by text NOT NULL,
    CHECK (end_ns > start_ns)
);
CREATE INDEX acceptances_by_span ON acceptances USING gist (span);

-- Spans that the store has forgotten by its TTL: they are no longer recounted.
CREATE TABLE expiries (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    reason text NOT NULL,
    CHECK (end_ns > start_ns)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

DO $$
DECLARE
    history text;
BEGIN
    FOREACH history IN ARRAY ARRAY[
        'slices', 'coverage', 'coverage_checkpoints', 'exclusions', 'exclusion_closures', 'proofs',
        'superseded_slices', 'superseded_proofs', 'points', 'acceptances', 'expiries', 'migrations']
    LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', history);
    END LOOP;
END
$$;
