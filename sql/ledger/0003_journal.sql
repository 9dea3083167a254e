-- The journal of a plant: alarms and operators' writes, as the historian tells them. Rows are only added: an entry that
-- was changed at the source is another version of its id.

CREATE TABLE journal (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    time_ns bigint NOT NULL,
    kind text NOT NULL,
    is_alarm boolean NOT NULL,
    priority integer,
    severity integer,
    object text NOT NULL,
    variable text NOT NULL,
    area text NOT NULL,
    by_user text NOT NULL,
    value text NOT NULL,
    previous text NOT NULL,
    comment text NOT NULL,
    version text COLLATE "C" NOT NULL -- a hash of all that stands in it
);
CREATE INDEX journal_by_id ON journal (source, id, seq);
CREATE INDEX journal_by_time ON journal (source, time_ns);

-- What was compared when a window was read: entries that the source counted, and that stand here of what it gave.
CREATE TABLE journal_windows (
    seq bigint PRIMARY KEY DEFAULT nextval('ledger_seq'),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text COLLATE "C" NOT NULL,
    start_ns bigint NOT NULL,
    end_ns bigint NOT NULL,
    counted bigint NOT NULL CHECK (counted >= 0),
    entries bigint NOT NULL CHECK (entries >= 0),
    CHECK (end_ns > start_ns)
);
CREATE INDEX journal_windows_by_start ON journal_windows (source, start_ns, end_ns, seq);

CREATE VIEW journal_now AS
SELECT DISTINCT ON (source, id) *, readable(time_ns) AS at
FROM journal
ORDER BY source, id, seq DESC;

-- From an alarm's Set to the first Clear of the same variable and severity; a write is over at once.
CREATE VIEW alarms AS
WITH ordered AS (
    SELECT *, count(*) FILTER (WHERE kind = 'Alarm.Set') OVER (
        PARTITION BY source, object, variable, priority, severity
        ORDER BY time_ns, kind <> 'Alarm.Set', seq
    ) AS episode
    FROM journal_now
    WHERE is_alarm
)
SELECT source, object, variable, area, priority, severity,
    min(time_ns) FILTER (WHERE kind = 'Alarm.Set') AS start_ns,
    min(time_ns) FILTER (WHERE kind = 'Alarm.Acknowledged') AS acknowledged_ns,
    min(time_ns) FILTER (WHERE kind = 'Alarm.Clear') AS end_ns,
    (array_agg(value ORDER BY time_ns))[1] AS value,
    (array_agg(comment ORDER BY time_ns))[1] AS comment
FROM ordered
GROUP BY source, object, variable, area, priority, severity, episode;
