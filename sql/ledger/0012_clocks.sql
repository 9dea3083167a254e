-- An expiry that was recorded by a wrong clock, or by a retention that was longer later, is taken back by a row that says so.
ALTER TABLE expiries ADD COLUMN revokes boolean NOT NULL DEFAULT false;

-- The landing that this ledger is about: two state folders that share a ledger would mix two histories. The newest row
-- counts; a landing that was moved gets another row with its new place, and keeps its id.
CREATE TABLE landings (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    landing text COLLATE "C" NOT NULL,
    place text NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON landings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
