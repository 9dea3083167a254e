"""The landing: a slice → an immutable Parquet generation with a manifest and a checksum.

    <root>/source=S/group=G/window=W/<start>_<end>.<generation>.parquet   the events, samples.SCHEMA, ordered
    <root>/source=S/group=G/window=W/<start>_<end>.<generation>.json      the manifest: written last, it makes it count

A newer pull of a slice is a new generation; the ledger names the current one. Nothing here is ever overwritten; old
generations go once their day has settled.
A Parquet file without a manifest is the rest of a killed run and does not count.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.durable import make_folder, sync_folder
from pipelines.ports import FerryError, NoRoom, SliceId
from pipelines.samples import SCHEMA, cut_by_bytes, text_bytes
from pipelines.timeline import Interval, iso, to_datetime

FORMAT = 1
_GROUP_ROWS = 262_144
_GROUP_BYTES = 16 << 20
"""Of texts in one row group, which a reader takes as a whole."""

_CURE = "pull the slice again: ferry restate over its span, which the file's name begins with, then ferry backfill"


class DamagedLanding(FerryError):
    """A landed file is not what its manifest says; the slice must be pulled again."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a generation holds. `points` were pulled whole (also those without events), `failed` were not."""

    source: str
    group: str
    start_ns: int
    end_ns: int
    generation: str
    events: int
    bytes: int
    sha256: str
    points: list[str]
    failed: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT
    text_bytes: int = 0
    """Of its texts in memory, each counted; compressed they may be next to nothing. 0 where nobody has counted."""

    @property
    def slice_id(self) -> SliceId:
        return SliceId(self.source, self.group, Interval(self.start_ns, self.end_ns))


@dataclass(frozen=True, slots=True)
class Piece:
    """A landed file and the part of its span for which it is the current generation."""

    path: Path
    span: Interval


def window_label(window: Interval) -> str:
    """The Dagster partition key of a window, from its start: 2026-01-01."""
    return to_datetime(window.start_ns).strftime("%Y-%m-%d")


def checked(path: Path) -> bytes:
    """The file of a generation's events, which is what its manifest says. Raises DamagedLanding naming it.

    Parquet tells of no flipped bit: of 600 in landed files, 273 gave other events without an error.
    """
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedLanding(f"{error.filename}: it is gone; {_CURE}") from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedLanding(f"{path}: it or its manifest cannot be read ({error}); {_CURE}") from error
    if hashlib.sha256(content).hexdigest() != said:
        raise DamagedLanding(f"{path}: its SHA-256 is not the manifest's, it was changed or cut short; {_CURE}")
    return content


class Landing:
    """Generations below one folder. Thread-safe: every file is written by one call under a name of its own."""

    def __init__(self, root: Path, group_bytes: int = _GROUP_BYTES) -> None:
        self.root, self._group_bytes = root, group_bytes
        self._made: set[Path] = set()

    def land(
        self,
        slice_id: SliceId,
        window: Interval,
        events: pa.Table,
        points: Iterable[str],
        failed: dict[str, str],
    ) -> Manifest:
        """Writes ordered events as a new generation; durable on return.

        Raises NoRoom when the disk is full; nothing half-written is left then.
        """
        folder = self._folder(slice_id, window)
        generation = uuid.uuid7().hex if hasattr(uuid, "uuid7") else uuid.uuid4().hex
        path = folder / f"{_stem(slice_id)}.{generation}.parquet"
        temporary = path.with_suffix(".part")
        try:
            if folder not in self._made:
                make_folder(folder, self.root)
                self._made.add(folder)
            sink = _HashingFile(temporary)
            with contextlib.closing(sink):
                self._write(events, sink)
                sink.sync()
            manifest = Manifest(
                slice_id.source, slice_id.group, slice_id.span.start_ns, slice_id.span.end_ns, generation,
                len(events), sink.size, sink.sha256, sorted(points), dict(sorted(failed.items())),
                text_bytes=text_bytes(events),
            )  # fmt: skip
            temporary.rename(path)
            _write_durably(path.with_suffix(".json"), json.dumps(asdict(manifest), ensure_ascii=False, indent=1))
        except OSError as error:
            for leftover in (temporary, path, *(path.with_suffix(end) for end in (".json", ".tmp"))):
                leftover.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoom(
                    f"the landing {self.root} is full while landing {slice_id} "
                    f"({events.nbytes / 1e6:.0f} MB in memory): free some space and run the same command again"
                ) from error
            raise
        return manifest

    def _write(self, events: pa.Table, sink: _HashingFile) -> None:
        lengths = np.asarray(pc.binary_length(events["text"]).fill_null(0)).astype(np.int64)
        with pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"), events.schema, compression="zstd", compression_level=1,
            use_dictionary=["point", "text", "quality", "detail", "tie", "code"],
            column_encoding={"time": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}, store_schema=True,
        ) as writer:  # fmt: skip
            for start, stop in cut_by_bytes(lengths, _GROUP_ROWS, self._group_bytes):
                writer.write_table(events.slice(start, stop - start))

    def path(self, slice_id: SliceId, window: Interval, generation: str) -> Path:
        """Where a generation's events are; also found when the plant file cut windows otherwise at that time."""
        folder, name = self._folder(slice_id, window), f"{_stem(slice_id)}.{generation}.parquet"
        if (folder / name).exists():
            return folder / name
        return next(folder.parent.glob(f"window=*/{name}"), folder / name)

    def manifest(self, slice_id: SliceId, window: Interval, generation: str) -> Manifest:
        """The manifest of a generation. Raises DamagedLanding when it is missing or unreadable."""
        path = self.path(slice_id, window, generation).with_suffix(".json")
        try:
            return Manifest(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DamagedLanding(f"{path}: the manifest of {slice_id} cannot be read: {error}") from error

    def read(self, slice_id: SliceId, window: Interval, generation: str) -> pa.Table:
        """The events of a generation, checked against its manifest. Raises DamagedLanding naming the file."""
        content = checked(self.path(slice_id, window, generation))
        return pq.read_table(pa.BufferReader(content), schema=SCHEMA)

    def columns(self, slice_id: SliceId, window: Interval, generation: str, names: list[str]) -> pa.Table:
        """Some columns of a generation, checked against its manifest. Raises DamagedLanding."""
        content = checked(self.path(slice_id, window, generation))
        return pq.ParquetFile(pa.BufferReader(content)).read(names)

    def generations(self, source: str) -> Iterator[Manifest]:
        """Every generation of a source that counts, for rebuilding a ledger or cleaning up."""
        for path in sorted((self.root / f"source={source}").rglob("*.json")):
            yield Manifest(**json.loads(path.read_text(encoding="utf-8")))

    def files(self, source: str, group: str, windows: Iterable[Interval]) -> dict[str, list[Path]]:
        """The files of every generation in these windows, each manifest before its events."""
        found: dict[str, list[Path]] = {}
        folder = self.root / f"source={source}" / f"group={group}"
        for label in sorted({window_label(window) for window in windows}):
            for path in sorted((folder / f"window={label}").glob("*")):  # .json before .parquet
                found.setdefault(path.stem.rpartition(".")[2], []).append(path)
        return found

    def holds(self, slice_id: SliceId, window: Interval, generation: str) -> bool:
        """Whether a generation is there, of the size that its manifest says; it is not read."""
        try:
            size = self.path(slice_id, window, generation).stat().st_size
            return size == self.manifest(slice_id, window, generation).bytes
        except (OSError, DamagedLanding):
            return False

    def _folder(self, slice_id: SliceId, window: Interval) -> Path:
        return self.root / f"source={slice_id.source}" / f"group={slice_id.group}" / f"window={window_label(window)}"


class _HashingFile:
    """A file to write to that knows its SHA-256 and size at the end, so that nothing is read back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> int:
        self._sha256.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def closed(self) -> bool:
        return self._file.closed

    def close(self) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()


def _stem(slice_id: SliceId) -> str:
    return f"{_stamp(slice_id.span.start_ns)}_{_stamp(slice_id.span.end_ns)}"


def _stamp(time_ns: int) -> str:
    """ISO 8601 in the basic form, which every file system takes: 20260101T060000Z."""
    return iso(time_ns).replace("-", "").replace(":", "")


def _write_durably(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_folder(path.parent)
