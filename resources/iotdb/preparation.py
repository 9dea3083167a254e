"""What has to be true before anything is written: clock, database, tables, and a writer that was seen to work."""

from __future__ import annotations

import logging
import time
import uuid
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from pipelines.ports import FerryError, NoRoom, Retry, Stop, Unreachable
from resources.iotdb import statements
from resources.iotdb.layout import PROBE, Table
from resources.iotdb.rows import constant
from resources.iotdb.session import CLOCKS_NS, Session
from resources.iotdb.sessions import Sessions
from resources.iotdb.tablets import TabletWriter
from resources.iotdb.tsfiles import TsFileWriter

_REGIONS_DEADLINE_S = 60.0
_REGIONS_PAUSE_S = 0.5
_MS_NS = 1_000_000


class Writer(Protocol):
    """One way to write rows."""

    name: str

    def write(self, table: Table, rows: pa.Table) -> None:
        """Upserts rows in the table's schema, sorted by TAGs and time."""
        ...

    def settle(self) -> None:
        """Everything written before is durable afterwards."""
        ...


def read_clock(sessions: Sessions, allow_coarse: bool) -> int:
    """Resolution of the server's times, nanoseconds. Raises Stop for one that would round, unless allowed."""
    precision = sessions.administer(_precision, "reading the server's settings")
    if precision not in CLOCKS_NS:
        raise Stop(f"{sessions.where}: its timestamp_precision is {precision or 'not told'}, which is not known here")
    clock_ns = CLOCKS_NS[precision]
    if clock_ns > 1 and not allow_coarse:
        raise Stop(
            f"{sessions.where}: its timestamp_precision is {precision}, so times of events would be rounded down. "
            "It cannot be changed after the server's first start: use a server at ns, or set "
            "[store] allow_coarse_clock = true to accept rounding (rounded events are counted)"
        )
    return clock_ns


def _precision(session: Session) -> str:
    if session.precision:  # every user is told at log-in; SHOW VARIABLES may need a privilege
        return session.precision
    found = session.query("SHOW VARIABLES").to_pydict()
    variables = dict(zip(*list(found.values())[:2], strict=True))
    return str(variables.get("TimestampPrecision", "")).lower()


def create_database(sessions: Sessions) -> None:
    """The database exists afterwards. Raises Stop, Retry."""
    sql = statements.create_database(sessions.database)
    sessions.administer(lambda session: session.run(sql), "creating the database")


def create_table(sessions: Sessions, table: Table) -> None:
    """The table exists afterwards. Raises Stop when a table of that name has other columns."""
    sessions.run(statements.create_table(sessions.database, table), f"creating table {table.name}")
    found = sessions.query(statements.describe(sessions.database, table), f"describing {table.name}")
    names, types, categories = (found[name].to_pylist() for name in found.column_names[:3])
    complaint = table.complaint(zip(names, types, categories, strict=True))
    if complaint:
        raise Stop(
            f"{sessions.where}: its table {table.name} is not ours: it {complaint}. "
            "Name another [store] database, or drop that table"
        )


def keep_for(sessions: Sessions, table: Table, keep_ns: int | None) -> None:
    """The table forgets rows that are older than `keep_ns`, None never; the server counts in whole milliseconds."""
    wanted_ns = None if keep_ns is None else keep_ns // _MS_NS * _MS_NS
    if read_kept(sessions).get(table.name) != wanted_ns:
        wanted = "INF" if keep_ns is None else str(keep_ns // _MS_NS)
        sessions.run(statements.keep_for(sessions.database, table, wanted), f"setting how long {table.name} is kept")


def read_kept(sessions: Sessions) -> dict[str, int | None]:
    """How long each table keeps its rows, ns; None for ever."""
    found = sessions.query(statements.show_tables(sessions.database), "reading how long tables are kept")
    names, kept = (found[name].to_pylist() for name in found.column_names[:2])
    return {name: int(each) * _MS_NS if each.isdigit() else None for name, each in zip(names, kept, strict=True)}


def read_now(sessions: Sessions) -> int | None:
    """The server's clock, ns UTC. It tells milliseconds, whatever its timestamp_precision is."""
    try:
        found = sessions.query(statements.NOW, "reading the server's clock")
    except Stop:  # another version, or not for this user
        return None
    return int(found[found.column_names[0]][0].as_py()) * _MS_NS


def probed_writer(sessions: Sessions, staging: Path | None) -> tuple[Writer, str]:
    """A writer that was seen to work now, and why it is that one: LOAD where the server sees `staging`, else tablets.

    Raises Unreachable, Retry, NoRoom, Stop.
    """
    create_table(sessions, PROBE)
    tablets = TabletWriter(sessions)
    # Tablets first: they say whether anything can be written, so that a LOAD refused after them is LOAD's own trouble.
    _await_regions(sessions, tablets)
    if staging is None:
        return tablets, "no staging folder is named"
    loader = TsFileWriter(sessions, staging)
    loader.clean()
    why = _trouble(sessions, loader)
    if not why:
        return loader, f"the server reads {staging}"
    logging.getLogger(__name__).warning("%s: LOAD does not work here, so tablets are written: %s", sessions.where, why)
    return tablets, why


def _await_regions(sessions: Sessions, writer: Writer) -> None:
    """Returns when a row can be written: a new database's regions have no leader for some seconds."""
    end_s = time.monotonic() + _REGIONS_DEADLINE_S
    while True:
        try:
            trouble = _probe(sessions, writer)
        except (Unreachable, NoRoom):
            raise
        except Retry:
            if time.monotonic() > end_s:
                raise
            time.sleep(_REGIONS_PAUSE_S)
            continue
        if trouble:
            raise Stop(f"{sessions.where}: {trouble}. This server cannot be trusted with history")
        return


def _trouble(sessions: Sessions, writer: Writer) -> str:
    """Why the writer does not work here; '' if it does."""
    try:
        return _probe(sessions, writer)
    except (Unreachable, NoRoom):
        raise
    except FerryError as error:
        return str(error)


def _probe(sessions: Sessions, writer: Writer) -> str:
    """Writes a row, reads it back and removes it; '' if it was there, else what went wrong."""
    stamp, mark = time.time_ns() // 1_000_000, uuid.uuid4().int % 2**50 / 7.0
    row = {
        "time": pa.array([stamp]),
        "source": constant("ferry", 1),
        "point": constant(writer.name, 1),
        "tie": constant("0", 1),
        "value": pa.array([mark]),
    }
    writer.write(PROBE, pa.table(list(row.values()), schema=PROBE.schema))
    writer.settle()
    mine = statements.run_of({"source": "ferry", "point": writer.name, "tie": "0"}, stamp, stamp)
    found = sessions.query(statements.select(sessions.database, PROBE, "value", mine), "reading the probe")
    sessions.run(statements.delete(sessions.database, PROBE, [mine]), "removing the probe")
    if found["value"].to_pylist() == [mark]:
        return ""
    return f"a row written by {writer.name} was accepted and was not there"
