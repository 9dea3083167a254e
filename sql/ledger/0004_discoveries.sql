-- When a source was last asked for its points: also where nothing had changed, which leaves no row in `points`.
CREATE TABLE discoveries (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    points bigint NOT NULL,
    changed bigint NOT NULL
);
CREATE INDEX discoveries_in_order ON discoveries (source, seq);
