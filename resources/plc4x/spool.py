"""The spool: what a collector read, on disk before anything else. For a PLC it is the source.

A folder of segments, each a file of records that is only ever appended to by one process and never touched again. When
the plant file says how long it is kept, what is older and proved in IoTDB goes, whole segments at a time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.durable import make_folder, sync_folder
from pipelines.ports import NoRoom, Retry
from pipelines.timeline import Interval
from resources.plc4x import segment
from resources.plc4x.segment import MAGIC, SUFFIX, Bounds, Entry, segments

_SEGMENT_BYTES = 64 << 20
_GONE = "gone.json"
_STORED_TO = "stored-to"


@dataclass(frozen=True, slots=True)
class _Gone:
    """What was let go: events of these points, all of them before this time."""

    before_ns: int = -(2**63)
    points: Sequence[str] = ()


def tell_stored(folder: Path, up_to_ns: int) -> None:
    """Leaves word for the collector of up to when all that it spooled is stored."""
    with contextlib.suppress(OSError):  # a figure for people
        (folder / _STORED_TO).write_text(str(up_to_ns), encoding="ascii")


def stored_to_ns(folder: Path) -> int | None:
    """What was told last; None where nothing was, or it is just being written."""
    try:
        return int((folder / _STORED_TO).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class SpoolWriter:
    """The one writer of a spool. Raises Retry when another process has it, NoRoom when the disk is full."""

    def __init__(self, folder: Path, segment_bytes: int = _SEGMENT_BYTES) -> None:
        make_folder(folder, folder)
        self.folder, self._segment_bytes = folder, segment_bytes
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Retry(f"another collector is writing the spool {folder}") from error
        self._number = max((int(path.stem) for path in segments(folder)), default=0)
        self._file = -1
        self._size = 0

    def append(self, batch: pa.RecordBatch) -> None:
        """Writes readings (SPOOL_SCHEMA, at least one); on disk when this returns. Raises NoRoom; then nothing was
        written, and what was half-written is never read."""
        record = segment.packed(batch)
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
        path = self.folder / f"{self._number:010d}{SUFFIX}"
        segment.forget_index(path)  # somebody may have removed segments by hand
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.pwrite(self._file, MAGIC, 0)
        self._size = len(MAGIC)
        sync_folder(self.folder)

    def _seal(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class SpoolReader:
    """Reads a spool while somebody writes it. Raises FileNotFoundError when a segment is let go meanwhile. Safe for
    many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sealed: dict[Path, Bounds] = {}
        self._growing: tuple[Path, int, list[Entry]] = (folder, 0, [])
        self._guard = threading.Lock()

    def batches(self, span: Interval) -> Iterator[pa.RecordBatch]:
        """The records that touch the span, in the order in which they were written, each cut to the span."""
        for path, entries in self._touching(span):
            for entry, batch in segment.read(path, entries):
                yield _within(batch, entry, span)

    def newest_first(self, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """Whole records from the last written on, until they are `most_bytes` on disk."""
        paths = segments(self.folder)
        for path in reversed(paths):
            entries = self._grown(path) if path == paths[-1] else segment.entries(path)
            for entry, batch in segment.read(path, reversed(entries)):
                if most_bytes <= 0:
                    return
                most_bytes -= entry.length
                yield batch

    def last_ns(self) -> int | None:
        """The latest time in the spool; None where it is empty."""
        return max((each.last_ns for each in self._bounds()), default=None)

    def first_ns(self) -> int | None:
        """The earliest time in the spool; None where it is empty."""
        return min((each.first_ns for each in self._bounds()), default=None)

    def size_bytes(self) -> int:
        """What the spool takes on disk."""
        total = 0
        for path in segments(self.folder):
            with contextlib.suppress(FileNotFoundError):  # it is just let go
                total += path.stat().st_size
        return total

    def lost(self, span: Interval) -> frozenset[str]:
        """Points of which some events of the span may have been let go; to be asked again after reading."""
        gone = self._gone()
        return frozenset(gone.points if span.start_ns < gone.before_ns else ())

    def older(self, before_ns: int) -> list[Path]:
        """The segments that nobody writes any more and that hold nothing from `before_ns` on."""
        return [path for path in segments(self.folder)[:-1] if self.bounds(path).last_ns < before_ns]

    def let_go(self, paths: Sequence[Path]) -> None:
        """Removes segments of `older`; what goes with them is written down before."""
        gone = self._gone()
        points = set(gone.points)
        for path in paths:
            for _, batch in segment.read(path, segment.entries(path)):
                points.update(pc.unique(batch["point"]).to_pylist())
        before_ns = max([gone.before_ns, *(self.bounds(path).last_ns + 1 for path in paths)])
        for path in paths:
            segment.forget_index(path)  # room for what is to be written, on a disk that is full
        content = json.dumps({"before_ns": before_ns, "points": sorted(points)})
        segment.write_whole(self.folder / _GONE, content.encode())
        for path in paths:
            segment.remove(path)

    def _gone(self) -> _Gone:
        try:
            return _Gone(**json.loads((self.folder / _GONE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return _Gone()

    def _touching(self, span: Interval) -> Iterator[tuple[Path, list[Entry]]]:
        paths = segments(self.folder)
        for path in paths:
            if path == paths[-1]:
                entries = self._grown(path)
            else:
                ends = self.bounds(path)
                touches = ends.first_ns < span.end_ns and ends.last_ns >= span.start_ns
                entries = segment.entries(path) if touches else []
            mine = [each for each in entries if each.first_ns < span.end_ns and each.last_ns >= span.start_ns]
            if mine:
                yield path, mine

    def _bounds(self) -> Iterator[Bounds]:
        """Of every segment that holds something."""
        paths = segments(self.folder)
        for path in paths:
            ends = segment.bounds_of(self._grown(path)) if path == paths[-1] else self.bounds(path)
            if ends.first_ns <= ends.last_ns:
                yield ends

    def bounds(self, path: Path) -> Bounds:
        """The first and last time of a segment that nobody writes any more."""
        if path not in self._sealed:
            self._sealed[path] = segment.bounds(path)
        return self._sealed[path]

    def _grown(self, path: Path) -> list[Entry]:
        """The records of the segment that may still be written; what was known of it is not read again."""
        with self._guard:
            last, done, entries = self._growing
            if last != path:
                done, entries = len(MAGIC), []
            done, more = segment.scan(path, done)
            self._growing = path, done, [*entries, *more]
            return self._growing[2]


def _within(batch: pa.RecordBatch, entry: Entry, span: Interval) -> pa.RecordBatch:
    if span.start_ns <= entry.first_ns and entry.last_ns < span.end_ns:
        return batch
    times = batch["time"].cast(pa.int64())
    return batch.filter(pc.and_(pc.greater_equal(times, span.start_ns), pc.less(times, span.end_ns)))
