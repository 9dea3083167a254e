"""What a ledger costs to read once a plant was followed for long: with all of its history, and with what still counts.

    python -m benchmarks.aged --days 30 --groups 8 --every 60

Writes the rows that passes leave (a slice a pass and group: landed, written, verified; every hour and day one more that
holds them all) into a PostgreSQL of its own, and asks what `ferry status` asks. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from pipelines.ledger import current
from pipelines.timeline import DAY_NS, HOUR_NS, SECOND_NS, Interval
from resources.embedded import EmbeddedPostgres
from resources.postgres import PostgresLedger
from resources.postgres.connections import Connection
from resources.postgres.migrations import migrate, packaged

_ROWS = """
INSERT INTO slices (source, point_group, start_ns, end_ns, state, generation, run_id, events, points, rounded, note,
    retry_at_ns, proves)
SELECT 'pi1', 'g' || lpad(g::text, 3, '0'), n * %(every)s, (n + 1) * %(every)s, state, gen_random_uuid()::text,
    'ferry sync', 250, 250, 0, 'followed', 0, state = 'verified'
FROM generate_series(0, %(end)s / %(every)s - 1) AS n, generate_series(0, %(groups)s - 1) AS g,
    unnest(ARRAY['landed', 'written', 'verified']) AS state
ORDER BY n
"""
_SORTS_OUT = 7
"""The migration that made `slices_standing`."""


def aged(dsn: str, ledger: PostgresLedger, days: int, groups: int, every_s: int) -> float:
    """Passes, the hours that replace them, and the days, but for the last, which is open; seconds of the migration that
    sorts out what still counts."""
    with Connection.connect(dsn) as connection:
        migrate(connection, [each for each in packaged() if each.version < _SORTS_OUT])
        for span_ns, until in ((every_s * SECOND_NS, days), (HOUR_NS, days), (DAY_NS, days - 1)):
            connection.execute(_ROWS, {"every": span_ns, "end": until * DAY_NS, "groups": groups})
    began = time.perf_counter()
    ledger.migrate()
    return time.perf_counter() - began


def asked(ledger: PostgresLedger, span: Interval, groups: int, *, replaced: bool) -> dict[str, float]:
    """Rows, and seconds of reading them and of finding what is current as well."""
    began = time.perf_counter()
    history = ledger.history("pi1", None, span, replaced=replaced)
    read_s = time.perf_counter() - began
    for group in range(groups):
        current([record for record in history if record.slice.group == f"g{group:03}"], span)
    whole_s = time.perf_counter() - began
    return {"rows": len(history), "read_s": round(read_s, 3), "whole_s": round(whole_s, 3)}


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--days", type=int, default=30)
    options.add_argument("--groups", type=int, default=8)
    options.add_argument("--every", type=int, default=60, help="seconds between passes")
    given = options.parse_args()
    span = Interval(0, given.days * DAY_NS)
    with tempfile.TemporaryDirectory(prefix="ferry-aged-") as folder:
        server = EmbeddedPostgres(Path(folder))
        try:
            dsn = server.ensure().dsn("ledger")
            ledger = PostgresLedger(dsn)
            migration_s = aged(dsn, ledger, given.days, given.groups, given.every)
            found = {
                "load": os.getloadavg()[0],
                "migration_s": round(migration_s, 1),
                "with all that was replaced": asked(ledger, span, given.groups, replaced=True),
                "what counts": asked(ledger, span, given.groups, replaced=False),
            }
            ledger.close()
        finally:
            server.stop()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
