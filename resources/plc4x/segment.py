"""One segment of a spool: records one after another, and an index beside it once nobody writes to it any more.

A record is a head with length and checksum, and readings of some cycles as an Arrow stream of one batch (SPOOL_SCHEMA).
A process killed in the middle leaves a torn record at the end, which nobody was told is on disk. One with whole records
behind it was damaged later: it is left out, and told, and so is one that was whole when its segment was indexed.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.durable import sync_folder
from pipelines.ports import SPOOL_SCHEMA

_log = logging.getLogger(__name__)
MAGIC = b"FERRYSP1"
SUFFIX = ".spool"
_INDEX = ".index"
_HEAD = struct.Struct("<IIqqI")  # payload bytes, CRC-32 of what follows it, first and last time, rows
_INDEX_HEAD = struct.Struct("<Iqq")  # CRC-32 of what follows it, first and last time
_PAYLOAD = b"\xff\xff\xff\xff"  # every Arrow stream begins so (Arrow Columnar Format, "Encapsulated message format")
_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a record is, and the times that it holds, both ends included."""

    offset: int
    length: int
    first_ns: int
    last_ns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and last time of a segment, both included; the first is later than the last where it is empty."""

    first_ns: int
    last_ns: int


def segments(folder: Path) -> list[Path]:
    """The segments, oldest first; only the last may still be written."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def packed(batch: pa.RecordBatch) -> bytes:
    """A record: it can be read without knowing this version of the schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, SPOOL_SCHEMA, options=_OPTIONS) as stream:
        stream.write_batch(batch)
    payload = bytes(sink.getvalue())
    ends = pc.min_max(batch["time"].cast(pa.int64())).as_py()
    rest = _HEAD.pack(len(payload), 0, ends["min"], ends["max"], len(batch))[8:]
    return struct.pack("<II", len(payload), zlib.crc32(payload, zlib.crc32(rest))) + rest + payload


def read(path: Path, entries: Iterable[Entry]) -> Iterator[tuple[Entry, pa.RecordBatch]]:
    """The readings of each record, SPOOL_SCHEMA; one that is damaged is left out, and told."""
    with path.open("rb") as opened:
        for entry in entries:
            record = os.pread(opened.fileno(), _HEAD.size + entry.length, entry.offset)
            if len(record) == _HEAD.size + entry.length and _checked(record):
                yield entry, _unpacked(record[_HEAD.size :])
            else:
                _warn(path, entry.offset, entry.offset + _HEAD.size + entry.length)


def _unpacked(payload: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(pa.py_buffer(payload)) as stream:
        batch = stream.read_next_batch()
    known = set(batch.schema.names)  # an older version may have written fewer columns
    columns = [batch[each.name] if each.name in known else pa.nulls(len(batch), each.type) for each in SPOOL_SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=SPOOL_SCHEMA)


def scan(path: Path, offset: int) -> tuple[int, list[Entry]]:
    """The whole records from `offset` on, and where the last of them ends."""
    found: list[Entry] = []
    size = path.stat().st_size
    if size <= offset:
        return offset, found
    with path.open("rb") as opened:
        file = opened.fileno()
        while entry := _entry(file, offset, size) or _next(file, offset, size):
            if entry.offset > offset:
                _warn(path, offset, entry.offset)
            found.append(entry)
            offset = entry.offset + _HEAD.size + entry.length
    return offset, found


def bounds(path: Path) -> Bounds:
    """Of a segment that nobody writes any more; indexes it the first time."""
    known = _known(path)
    return bounds_of(_indexed(path)) if known is None else known[0]


def entries(path: Path) -> list[Entry]:
    """The records of a segment that nobody writes any more."""
    known = _known(path)
    return _indexed(path) if known is None else known[1]


def _known(path: Path) -> tuple[Bounds, list[Entry]] | None:
    """What the index says; None where there is none that is whole."""
    try:
        content = _index(path).read_bytes()
    except FileNotFoundError:
        return None
    if len(content) < _INDEX_HEAD.size or zlib.crc32(content[4:]) != int.from_bytes(content[:4], "little"):
        return None
    _, first_ns, last_ns = _INDEX_HEAD.unpack_from(content)
    rows = np.frombuffer(content, np.int64, offset=_INDEX_HEAD.size).reshape(-1, 5)
    return Bounds(first_ns, last_ns), [Entry(*row) for row in rows.tolist()]


def remove(path: Path) -> None:
    """The segment and its index."""
    path.unlink(missing_ok=True)
    forget_index(path)


def forget_index(path: Path) -> None:
    """It can be made again."""
    _index(path).unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Nobody ever sees half of the file, whoever else writes it; on disk when this returns."""
    handle, half = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(half).replace(path)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _index(path: Path) -> Path:
    return path.with_suffix(_INDEX)


def _indexed(path: Path) -> list[Entry]:
    end, found = scan(path, len(MAGIC))
    _tell_end(path, end)
    ends = bounds_of(found)
    rows = np.array([astuple(each) for each in found], np.int64).tobytes()
    rest = _INDEX_HEAD.pack(0, ends.first_ns, ends.last_ns)[4:] + rows
    with contextlib.suppress(OSError):  # who may not write, or finds no room, does it again the next time
        write_whole(_index(path), struct.pack("<I", zlib.crc32(rest)) + rest)
    return found


def _tell_end(path: Path, end: int) -> None:
    """Whether the last record was damaged, and not torn by a kill: all of its bytes are there."""
    with path.open("rb") as file:
        file.seek(end)
        rest = file.read()
    if len(rest) >= _HEAD.size and 0 < _HEAD.unpack_from(rest)[0] <= len(rest) - _HEAD.size:
        _warn(path, end, end + len(rest))


def _warn(path: Path, start: int, end: int) -> None:
    _log.warning(
        "the spool %s is damaged from byte %d to %d: what was read then is lost, unless it was landed before",
        path, start, end,
    )  # fmt: skip


def _checked(record: bytes) -> bool:
    return zlib.crc32(record[8:]) == int.from_bytes(record[4:8], "little")


def bounds_of(found: list[Entry]) -> Bounds:
    """The first and last time of records, each of which may hold late readings."""
    return Bounds(
        min((each.first_ns for each in found), default=2**63 - 1),
        max((each.last_ns for each in found), default=-(2**63)),
    )


def _entry(file: int, offset: int, size: int) -> Entry | None:
    """The record at `offset`, if a whole one is there."""
    if offset + _HEAD.size > size:
        return None
    length, _, first_ns, last_ns, rows = _HEAD.unpack(os.pread(file, _HEAD.size, offset))
    if not length or offset + _HEAD.size + length > size:
        return None
    whole = _checked(os.pread(file, _HEAD.size + length, offset))
    return Entry(offset, length, first_ns, last_ns, rows) if whole else None


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
