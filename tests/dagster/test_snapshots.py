"""Snapshots of PLCs as a job and an asset: real OPC UA servers, a line in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets_defs.partitions import RANGE_END, RANGE_START
from pipelines.plant import load_tags
from pipelines.timeline import MINUTE_NS, Interval
from resources.plc4x import SpoolReader, SpoolSource, SpoolWriter
from simulators.opcua.signals import plant
from tests.dagster.conftest import MemoryPlant, in_memory
from tests.dagster.event_log import materializations
from tests.opcua_plc import NAMESPACE, free_port, opcua

SNAPSHOT = dg.AssetKey(["line1", "snapshot"])
PLANT = """
[plant]
name = "unit"
[[source]]
name = "line1"
kind = "plc4x"
tags = "tags.csv"
point_groups = 2
window = "day"
start = 2026-01-01T00:00:00Z
{connections}
[store]
iotdb = "127.0.0.1:1"
[ledger]
postgres = {{ dsn_env = "FERRY_UNIT_DSN" }}
"""
CONNECTION = """
[[source.connection]]
name = "{name}"
url = "opc.tcp://127.0.0.1:{port}/plant"
timeout = "1 s"
subscribe = true
"""
SIGNALS = plant(6)


@pytest.fixture
def snapshots(tmp_path: Path) -> Iterator[MemoryPlant]:
    """One server that answers, one that is not there."""
    port = free_port()
    found = [CONNECTION.format(name="kiln", port=port), CONNECTION.format(name="dead", port=free_port())]
    file = tmp_path / "ferry.toml"
    file.write_text(PLANT.format(connections="".join(found)), encoding="utf-8")
    rows = [
        f"{where}/{each.name},{where},nsu={NAMESPACE};s={each.name}" for where in ("kiln", "dead") for each in SIGNALS
    ]
    (tmp_path / "tags.csv").write_text("\n".join(["name,connection,address", *rows]), encoding="utf-8")
    with opcua(port, "--points", "6", "--every", "0.2"), in_memory(file) as memory:
        reader = SpoolReader(memory.line.plant.state_dir / "spool" / "line1")
        tags = load_tags(memory.settings, tmp_path)
        memory.outside.the_source = SpoolSource("line1", tags, reader, clocks=["kiln", "dead"])  # type: ignore[assignment]
        yield memory


def test_a_snapshot_reads_every_tag_once_and_says_what_it_read(snapshots: MemoryPlant, instance: Any) -> None:
    for _ in range(2):
        assert snapshots.run(instance, "snapshot_line1").success
    found = [metadata for _, metadata in materializations(instance, SNAPSHOT)]
    assert len(found) == 4, "one a point group and snapshot"
    assert sum(each["tags_read"] + each["tags_bad"] for each in found) == 12
    assert sum(each["tags_missed"] for each in found) == 12, "those of the server that is not there"
    assert all(each["slowest_connection"].startswith("kiln, 0.") for each in found)
    spool = SpoolReader(snapshots.line.plant.state_dir / "spool" / "line1")
    rows = [row for batch in spool.batches(Interval(0, 2**62)) for row in batch.to_pylist()]
    cycles = [(row["point"], row["quality"]) for row in rows if row["point"].startswith("cycle.")]
    assert sorted(cycles) == [("cycle.dead.all", 24)] * 2 + [("cycle.kiln.all", 192)] * 2


def test_the_plcs_of_a_collector_are_not_asked_twice(snapshots: MemoryPlant, instance: Any) -> None:
    writer = SpoolWriter(snapshots.line.plant.state_dir / "spool" / "line1")
    try:
        assert snapshots.run(instance, "snapshot_line1").success
    finally:
        writer.close()
    assert materializations(instance, SNAPSHOT) == []


def test_samples_are_made_of_snapshots(snapshots: MemoryPlant) -> None:
    graph = snapshots.defs.resolve_asset_graph()
    samples = dg.AssetKey(["line1", "samples"])
    assert graph.get(samples).parent_keys == {SNAPSHOT}
    assert "snapshot_line1_schedule" in {each.name for each in snapshots.defs.schedules or []}


def test_clocks_are_audited(snapshots: MemoryPlant, instance: Any) -> None:
    assert snapshots.run(instance, "snapshot_line1").success
    snapshots.line.now_ns = lambda: time.time_ns() + MINUTE_NS
    assert snapshots.run(instance, "sync_line1").success
    [key] = {each for each, _ in materializations(instance, SNAPSHOT) if each and each.startswith("g000")}
    other = key.replace("g000", "g001")
    job, audit = snapshots.defs.resolve_implicit_global_asset_job_def(), dg.AssetKey(["line1", "clocks"])
    made = job.get_subset(asset_selection={audit}, asset_check_selection=set())
    assert made.execute_in_process(instance=instance, tags={RANGE_START: key, RANGE_END: other}).success
    told = [found["dagster/row_count"] for _, found in materializations(instance, audit)]
    assert sum(told) == 2, "of the server and of the source"
    check = job.get_subset(asset_selection=set(), asset_check_selection={dg.AssetCheckKey(audit, "clocks")})
    [evaluation] = check.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert evaluation.passed, evaluation.description
