"""What commands tell Dagster: windows that were reopened, and a report that was written."""

from __future__ import annotations

import dagster as dg

from assets_defs import telling
from assets_defs.marts_assets import mart_key
from assets_defs.materializing import materialize_followed
from assets_defs.partitions import window_of
from pipelines.ports import SliceId
from pipelines.sync import PassResult
from tests.dagster.conftest import KEYS, MemoryPlant
from tests.dagster.event_log import statuses


def test_reopened_windows_are_failed_until_they_are_proved_again(
    memory_plant: MemoryPlant, instance: dg.DagsterInstance
) -> None:
    assert memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[-1]).success
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}
    window = window_of(memory_plant.settings, "2026-01-02")
    pairs = [("g000", window), ("g001", window)]
    for group, _ in pairs:
        memory_plant.ledger.withdraw(SliceId("pi1", group, window), "restated")
    telling.tell_reopened(memory_plant.line, instance, memory_plant.settings, pairs, "reopened by ferry restate")
    shown = statuses(instance, memory_plant.defs)
    assert {key for key, status in shown.items() if status == "FAILED"} == {"g000|2026-01-02", "g001|2026-01-02"}
    [run] = instance.get_runs(dg.RunsFilter(job_name="restate_pi1"))
    assert run.status is dg.DagsterRunStatus.FAILURE

    assert memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[-1]).success
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}


def test_what_sync_filled_again_is_shown_at_once(memory_plant: MemoryPlant, instance: dg.DagsterInstance) -> None:
    assert memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[-1]).success
    window = window_of(memory_plant.settings, "2026-01-02")
    telling.tell_reopened(
        memory_plant.line, instance, memory_plant.settings, [("g000", window)], "reopened by ferry restate"
    )
    found = PassResult(up_to_ns=memory_plant.settings.end or 0, changed={("g000", window)})
    assert materialize_followed(memory_plant.line, instance, memory_plant.settings, found) == 1
    assert set(statuses(instance, memory_plant.defs).values()) == {"MATERIALIZED"}


def test_a_report_is_shown(memory_plant: MemoryPlant, instance: dg.DagsterInstance) -> None:
    window = window_of(memory_plant.settings, "2026-01-02")
    telling.tell_report(instance, memory_plant.settings, window, memory_plant.file.with_name("report.html"))
    [record] = instance.fetch_materializations(mart_key(memory_plant.settings, "report"), limit=5).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["span"].value == str(window)
