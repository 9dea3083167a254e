-- Which IoTDB the proofs are about. This ledger has a name of its own, and the store's database keeps a row with it and
-- with the token of the last opening: the tokens tell the store that the proofs are about from an empty one, another
-- one, and an older copy of it.
CREATE TABLE ledger_identity (
    identity uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO ledger_identity DEFAULT VALUES;

-- opening: the token is about to be written into the store; open: it was; refused: what answered was not our store.
CREATE TYPE store_state AS ENUM ('opening', 'open', 'refused');

CREATE TABLE store_openings (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state store_state NOT NULL,
    token uuid,  -- null where it was refused
    note text NOT NULL,
    CHECK ((token IS NULL) = (state = 'refused'))
);

DO $$
DECLARE
    history text;
BEGIN
    FOREACH history IN ARRAY ARRAY['ledger_identity', 'store_openings']
    LOOP
        EXECUTE format(
            'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', history);
    END LOOP;
END
$$;

-- Whether the store that was opened last is the one that the proofs are about.
CREATE FUNCTION store_believed() RETURNS boolean STABLE
    RETURN coalesce((SELECT state <> 'refused' FROM store_openings ORDER BY seq DESC LIMIT 1), true);

-- What `covered` was before: the rows alone.
CREATE FUNCTION covered_by_rows(of_source text, of_group text) RETURNS int8multirange STABLE STRICT
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

-- Nothing is covered while another store answers; all of it is again when ours does.
CREATE OR REPLACE FUNCTION covered(of_source text, of_group text) RETURNS int8multirange STABLE STRICT
    RETURN CASE WHEN store_believed() THEN covered_by_rows(of_source, of_group) ELSE '{}'::int8multirange END;

-- Covered spans are also checked against the store alone: which side was asked. A look at all of the store, for rows of
-- points and times that were never moved, is of group ''.
CREATE TYPE look_side AS ENUM ('source', 'store');
ALTER TABLE recounts ADD COLUMN side look_side NOT NULL DEFAULT 'source';
