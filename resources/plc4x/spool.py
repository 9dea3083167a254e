"""The spool: what a collector read, on disk before anything else. For a PLC it is the source.

A folder of segments, each a file of records that is only ever appended to by one process and never touched again. A
record holds readings of some cycles as an Arrow stream of one batch (SPOOL_SCHEMA), with length and checksum before
it: a process killed in the middle leaves a torn record at the end of a segment, which nobody was told is on disk. One
with whole records behind it was damaged later: it is left out, and told.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ports import SPOOL_SCHEMA, NoRoom, Retry
from pipelines.timeline import Interval

_log = logging.getLogger(__name__)
_MAGIC = b"FERRYSP1"
_HEAD = struct.Struct("<IIqqI")  # payload bytes, CRC-32 of what follows it, first and last time, rows
_PAYLOAD = b"\xff\xff\xff\xff"  # every Arrow stream begins so (Arrow Columnar Format, "Encapsulated message format")
_SEGMENT_BYTES = 64 << 20
_SUFFIX = ".spool"
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a record is, and the times that it holds, both ends included."""

    offset: int
    length: int
    first_ns: int
    last_ns: int
    rows: int


class SpoolWriter:
    """The one writer of a spool. Raises Retry when another process has it, NoRoom when the disk is full."""

    def __init__(self, folder: Path, segment_bytes: int = _SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._segment_bytes = folder, segment_bytes
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Retry(f"another collector is writing the spool {folder}") from error
        self._number = max((_number(path) for path in segments(folder)), default=0)
        self._file = -1
        self._size = 0

    def append(self, batch: pa.RecordBatch) -> None:
        """Writes readings (SPOOL_SCHEMA, at least one); on disk when this returns. Raises NoRoom; then nothing was
        written, and what was half-written is never read."""
        payload = _packed(batch)
        ends = pc.min_max(batch["time"].cast(pa.int64())).as_py()
        rest = _HEAD.pack(len(payload), 0, ends["min"], ends["max"], len(batch))[8:]
        record = struct.pack("<II", len(payload), zlib.crc32(payload, zlib.crc32(rest))) + rest + payload
        try:
            self._open()
            written = os.pwrite(self._file, record, self._size)
            if written < len(record):
                raise OSError(errno.ENOSPC, "half of a record was written")
            os.fdatasync(self._file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoom(
                    f"the spool {self.folder} is full: free some space; what cannot be kept is lost"
                ) from error
            raise
        self._size += len(record)
        if self._size >= self._segment_bytes:
            self._seal()

    def close(self) -> None:
        """Gives the spool to the next collector; may be called twice."""
        self._seal()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self) -> None:
        if self._file >= 0:
            return
        self._number += 1
        path = self.folder / f"{self._number:010d}{_SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.pwrite(self._file, _MAGIC, 0)
        self._size = len(_MAGIC)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _seal(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class SpoolReader:
    """Reads a spool while somebody writes it. Safe for many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: dict[Path, tuple[int, list[Entry]]] = {}
        self._guard = threading.Lock()

    def batches(self, span: Interval) -> Iterator[pa.RecordBatch]:
        """The records that touch the span, in the order in which they were written, each cut to the span."""
        for path in segments(self.folder):
            entries = [
                each for each in self._entries(path) if each.first_ns < span.end_ns and each.last_ns >= span.start_ns
            ]
            if not entries:
                continue
            with path.open("rb") as file:
                for entry in entries:
                    yield _within(_read(file.fileno(), entry), entry, span)

    def newest_first(self, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """Whole records from the last written on, until they are `most_bytes` on disk."""
        for path in reversed(segments(self.folder)):
            with path.open("rb") as file:
                for entry in reversed(self._entries(path)):
                    if most_bytes <= 0:
                        return
                    most_bytes -= entry.length
                    yield _read(file.fileno(), entry)

    def last_ns(self) -> int | None:
        """The latest time in the spool; None where it is empty."""
        return max((each.last_ns for path in segments(self.folder) for each in self._entries(path)), default=None)

    def first_ns(self) -> int | None:
        """The earliest time in the spool; None where it is empty."""
        return min((each.first_ns for path in segments(self.folder) for each in self._entries(path)), default=None)

    def size_bytes(self) -> int:
        """What the spool takes on disk."""
        return sum(path.stat().st_size for path in segments(self.folder))

    def _entries(self, path: Path) -> list[Entry]:
        """The whole records of a segment; what was known of it is not read again."""
        with self._guard:
            done, entries = self._index.get(path, (len(_MAGIC), []))
            size = path.stat().st_size
            if size > done:
                with path.open("rb") as file:
                    done, more = _scan(path, file.fileno(), done, size)
                entries = [*entries, *more]
                self._index[path] = done, entries
            return entries


def segments(folder: Path) -> list[Path]:
    """The segments, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _number(path: Path) -> int:
    return int(path.stem)


def _scan(path: Path, file: int, offset: int, size: int) -> tuple[int, list[Entry]]:
    """The whole records from `offset` on, and where the last of them ends."""
    found: list[Entry] = []
    while True:
        entry = _entry(file, offset, size) or _next(file, offset, size)
        if entry is None:
            return offset, found
        if entry.offset > offset:
            _log.warning(
                "the spool %s is damaged from byte %d to %d: what was read then is lost, unless it was landed before",
                path, offset, entry.offset,
            )  # fmt: skip
        found.append(entry)
        offset = entry.offset + _HEAD.size + entry.length


def _entry(file: int, offset: int, size: int) -> Entry | None:
    """The record at `offset`, if a whole one is there."""
    if offset + _HEAD.size > size:
        return None
    length, checksum, first_ns, last_ns, rows = _HEAD.unpack(os.pread(file, _HEAD.size, offset))
    entry = Entry(offset, length, first_ns, last_ns, rows)
    whole = length and offset + _HEAD.size + length <= size and _checksum(file, entry) == checksum
    return entry if whole else None


def _next(file: int, offset: int, size: int) -> Entry | None:
    """The first whole record behind what cannot be read; there is none behind one that is being written, or torn."""
    with mmap.mmap(file, size, access=mmap.ACCESS_READ) as content:
        place = content.find(_PAYLOAD, offset + _HEAD.size + 1)
        while place >= 0:
            entry = _entry(file, place - _HEAD.size, size)
            if entry:
                return entry
            place = content.find(_PAYLOAD, place + 1)
    return None


def _checksum(file: int, entry: Entry) -> int:
    return zlib.crc32(os.pread(file, _HEAD.size - 8 + entry.length, entry.offset + 8))


def _packed(batch: pa.RecordBatch) -> bytes:
    """An Arrow stream of its own: a record can be read without knowing this version of the schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SPOOL_SCHEMA, options=_OPTIONS) as stream:
        stream.write_batch(batch)
    return bytes(sink.getvalue())


def _read(file: int, entry: Entry) -> pa.RecordBatch:
    payload = os.pread(file, entry.length, entry.offset + _HEAD.size)
    with pa.ipc.open_stream(pa.py_buffer(payload)) as stream:
        batch = stream.read_next_batch()
    known = set(batch.schema.names)  # an older version may have written fewer columns
    columns = [batch[each.name] if each.name in known else pa.nulls(len(batch), each.type) for each in SPOOL_SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SPOOL_SCHEMA)


def _within(batch: pa.RecordBatch, entry: Entry, span: Interval) -> pa.RecordBatch:
    if span.start_ns <= entry.first_ns and entry.last_ns < span.end_ns:
        return batch
    times = batch["time"].cast(pa.int64())
    return batch.filter(pc.and_(pc.greater_equal(times, span.start_ns), pc.less(times, span.end_ns)))
