"""Exports of the layout before: taken over into the layout of now, so that no event stands there twice.

    <destination>/samples/source=S/date=D/group=G.parquet, journal and alarms/source=S/date=D/….parquet
    <destination>/points/source=S.parquet, points/source=S.json     the catalogue, and which points were chosen

Every step can be repeated: a take-over that was killed goes on with the next export.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.marts.files import appearing, write_whole
from pipelines.marts.stamps import NANOSECOND, dated
from pipelines.ports import Stop

LAYOUT = 1
_BY_DAY = {"samples": "group=*", "journal": "journal", "alarms": "alarms"}


def known(destination: Path) -> set[Path]:
    """What of the destination's first two levels was written by exports of that layout; of samples, where a choice of
    points stands beside them."""
    points = destination / "points"
    found = {destination / "_ferry", *points.glob("source=*.json"), *points.glob("source=*.parquet")}
    for name in _BY_DAY:
        folders = [folder for folder in (destination / name).glob("source=*") if folder.is_dir()]
        found |= {each for each in folders if name != "samples" or (points / f"{each.name}.json").exists()}
    empty = {destination / name for name in (*_BY_DAY, "points") if not any((destination / name).glob("[!.]*"))}
    return found | empty | {entry.parent for entry in found if entry.parent != destination}


def renew(destination: Path, record: Path) -> None:
    """Writes what is there again in the layout of now and removes it. Raises Stop for a file that is not of that
    layout (nothing is removed then), NoRoom."""
    olds = {
        file: folder.name.removeprefix("source=")
        for name, stem in _BY_DAY.items()
        for folder in sorted((destination / name).glob("source=*"))
        for file in sorted(folder.glob(f"date=*/{stem}.parquet"))
    }
    for name in _BY_DAY:
        for file in (destination / name).glob("source=*/**/*"):
            if file.is_file() and file not in olds and not file.name.startswith("."):
                raise Stop(f"{destination} holds {file.relative_to(destination).as_posix()!r}, which no export wrote")
    for file, source in olds.items():
        dataset, _, day, _ = file.relative_to(destination).parts
        group = f"-{file.stem.removeprefix('group=')}" if dataset == "samples" else ""
        _move(file, destination / dataset / day / f"{source}{group}.parquet", source, record)
    for name in _BY_DAY:
        for folder in (destination / name).glob("source=*"):
            shutil.rmtree(folder)
    _renew_points(destination / "points", record)


def _renew_points(folder: Path, record: Path) -> None:
    for file in sorted(folder.glob("source=*.parquet")):
        source = file.stem.removeprefix("source=")
        _move(file, folder / f"{source}.parquet", source, record)
    for file in sorted(folder.glob("source=*.json")):
        said = json.loads(file.read_text(encoding="utf-8"))
        with appearing(record / f"source={said['source']}.json") as part:
            part.write_text(json.dumps({**said, "time": "us"}, ensure_ascii=False) + "\n", encoding="utf-8")
        file.unlink()


def _move(file: Path, path: Path, source: str, record: Path) -> None:
    with pq.ParquetFile(file) as old:
        schema = dated(_as_integers(old.schema_arrow.empty_table()), source).schema
        tables = (dated(_as_integers(pa.Table.from_batches([batch])), source) for batch in old.iter_batches())
        write_whole(path, schema, (batch for table in tables for batch in table.to_batches()), scratch=record)
    file.unlink()


def _as_integers(table: pa.Table) -> pa.Table:
    """Each timestamp x as a BIGINT x_ns."""
    for place, field in enumerate(table.schema):
        if field.type == NANOSECOND:
            renamed = pa.field(f"{field.name}_ns", pa.int64(), field.nullable)
            table = table.set_column(place, renamed, table.column(place).cast(pa.int64()))
    return table
