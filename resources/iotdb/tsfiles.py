"""The bulk writer: rows → a TsFile in the staging folder → LOAD. What LOAD has taken survives kill -9."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from tsfile import ColumnCategory, ColumnSchema, TableSchema, TSDataType, TsFileTableWriter
from tsfile.exceptions import LibraryError

from pipelines.ports import NoRoom, Retry, Stop
from resources.iotdb.layout import STATES, Table
from resources.iotdb.rows import portions
from resources.iotdb.sessions import Sessions
from resources.iotdb.statements import load

_PREFIX = "ferry-"
_FILE_ROWS = 500_000
_FILE_BYTES = 64 << 20
_TEXT_FILE_BYTES = 16 << 20
"""Of a point the server reads all that a file has of a page, and of two files where they overlap."""
_STALE_S = 24 * 3_600.0  # no LOAD takes a day; younger files may be another process's


class TsFileWriter:
    """Writes by LOAD. Thread-safe. `staging` is a folder that this host and the server both see and may write."""

    name = "load"

    def __init__(self, sessions: Sessions, staging: Path) -> None:
        self._sessions = sessions
        self._staging = staging.absolute()  # the server would start at its own folder (facts/iotdb.md, trap 10)

    def write(self, table: Table, rows: pa.Table) -> None:
        """Upserts rows in the table's schema, sorted by TAGs and time; durable on return.

        Raises Retry for a LOAD that failed: it may have stored all of it (trap 9), so the window must be replaced.
        """
        for part in portions(rows, _FILE_ROWS, _TEXT_FILE_BYTES if table is STATES else _FILE_BYTES):
            with self._file() as path:
                self._write_file(path, table, part)
                self._load(path)

    def settle(self) -> None:
        """Nothing is left to do: LOADed files are flushed by nature."""

    def clean(self) -> None:
        """Removes what processes that died have left in the staging folder."""
        oldest = time.time() - _STALE_S
        for path in self._staging.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # somebody else's, or just gone
                if path.stat().st_mtime < oldest:
                    path.unlink()

    @contextmanager
    def _file(self) -> Iterator[Path]:
        # A name that was LOADed before would be "stored" nowhere (trap 2).
        path = self._staging / f"{_PREFIX}{uuid.uuid4().hex}.tsfile"
        try:
            yield path
        finally:
            for left in (path, path.with_name(f"{path.name}.resource")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)

    def _write_file(self, path: Path, table: Table, rows: pa.Table) -> None:
        try:
            writer = TsFileTableWriter(str(path), _schema(table))
            try:
                writer.write_arrow_batch(_plain(rows))
            finally:
                writer.close()
            path.chmod(0o644)  # the server may be another user (trap 9)
        except (LibraryError, OSError) as error:
            raise self._unwritten(path, str(error)) from None

    def _unwritten(self, path: Path, why: str) -> Stop:
        text = f"the staging file {path} cannot be written: {why}"
        free = shutil.disk_usage(self._staging).free if self._staging.is_dir() else None
        with contextlib.suppress(OSError):
            # The native writer keeps a file open that it could not finish, so unlinking alone frees no room.
            # Never so for a file that was LOADed: the server may have linked, not copied it.
            os.truncate(path, 0)
        if free is not None and free < _FILE_BYTES:
            return NoRoom(f"{text}; {free >> 20} MiB are free on its disk. Make room there")
        return Stop(f"{text}. Check that the folder exists and that this user may write it")

    def _load(self, path: Path) -> None:
        try:
            self._sessions.run_once(load(str(path), self._sessions.database), "LOADing a TsFile")
        except Retry as error:
            raise type(error)(
                f"{error} What the file held may be stored all the same: the window must be replaced", error.after_s
            ) from None


def _schema(table: Table) -> TableSchema:
    columns = [
        ColumnSchema(column.name, TSDataType[column.type], ColumnCategory[column.category]) for column in table.columns
    ]
    return TableSchema(table.name, columns)


def _plain(rows: pa.Table) -> pa.Table:
    """The rows without dictionaries, which the native writer refuses."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(index, field.name, rows[field.name].cast(pa.string()))
    return rows.combine_chunks()
