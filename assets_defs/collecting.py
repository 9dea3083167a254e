"""A source of PLCs made ready to be read: tags, connections, spool; by the collector and by scheduled snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.collect import Collector, scans_of
from pipelines.plant import Plant, SourceSettings, load_tags
from pipelines.ports import Tag
from resources.outside import Outside
from resources.plc4x import SpoolReader, SpoolWriter, last_cycles, last_told
from resources.plc4x.connections import connections


@dataclass(frozen=True, slots=True)
class Collecting:
    """What is read, by whom, and where it goes."""

    tags: Sequence[Tag]
    collector: Collector
    spool: SpoolReader
    folder: Path


@contextmanager
def collecting(plant: Plant, settings: SourceSettings, *, snapshot: bool = False) -> Iterator[Collecting]:
    """Nothing is asked yet. A snapshot subscribes to nothing, and nothing was missed before it.

    Raises Stop for a wrong tag map, Retry while another process writes the spool, Unreachable without PLC4X's jars.
    """
    tags = load_tags(settings, plant.folder)
    outside = Outside(plant)
    folder = plant.spool_dir(settings.name)
    scans = scans_of(tags)
    plcs = connections(plant, outside.located(settings), tags, subscribe=not snapshot)
    writer = SpoolWriter(folder)
    try:
        reader = SpoolReader(folder)
        opc_ua = {each.name for each in settings.connection if each.opc_ua}
        stamped = {name for tag in tags if tag.connection in opc_ua for name in tag.names}
        since = {} if snapshot else last_cycles(reader, max(scan.interval_ns for scan in scans))
        yield Collecting(tags, Collector(scans, plcs, writer, since, last_told(reader, stamped)), reader, folder)
    finally:
        writer.close()
