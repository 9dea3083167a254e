-- From which instant on sync looks after a source; what is older is the backfill's. Set once, at the first discovery.
CREATE TABLE handovers (
    source text COLLATE "C" PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    at_ns bigint NOT NULL
);

-- When the source was asked again about a span that is covered, and how many points differed then.
CREATE TABLE recounts (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    point_group text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    span int8range NOT NULL GENERATED ALWAYS AS (int8range(start_ns, end_ns)) STORED,
    asked_ns bigint NOT NULL,  -- by the plant's clock
    deep boolean NOT NULL,
    differing bigint NOT NULL CHECK (differing >= 0),
    CHECK (end_ns > start_ns)
);
CREATE INDEX recounts_by_span ON recounts USING gist (span);

DO $$
DECLARE
    history text;
BEGIN
    FOREACH history IN ARRAY ARRAY['handovers', 'recounts']
    LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', history);
    END LOOP;
END
$$;
