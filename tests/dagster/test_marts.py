"""The marts, the report and the checks over a plant in memory."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from tests.dagster.conftest import KEYS, POINTS, MemoryPlant
from tests.dagster.event_log import failure, materializations, observations, statuses

QUALITY, EXPORTS, REPORT = (dg.AssetKey(["pi1", name]) for name in ("quality", "exports", "report"))


@pytest.fixture
def moved(memory_plant: MemoryPlant, instance: Any) -> MemoryPlant:
    """With all samples there, and a store that takes aggregates."""
    memory_plant.store.__dict__["write_aggregates"] = lambda *_: None
    assert memory_plant.run(instance, "backfill_pi1", KEYS[0], KEYS[-1]).success
    return memory_plant


def test_the_marts_job_makes_all_three_of_every_window(moved: MemoryPlant, instance: Any) -> None:
    assert moved.run(instance, "marts_pi1", KEYS[0], KEYS[-1]).success
    for name in ("aggregates", "quality", "exports"):
        key = dg.AssetKey(["pi1", name])
        assert set(statuses(instance, moved.defs, key).values()) == {"MATERIALIZED"}
        assert len(materializations(instance, key)) == len(KEYS)
    assert sum(each["dagster/row_count"] for _, each in materializations(instance, QUALITY)) >= 3 * len(POINTS)


def test_a_damaged_file_fails_its_window_alone(moved: MemoryPlant, instance: Any) -> None:
    landed = next(moved.line.landing.root.rglob("*group=g000*/window=2026-01-02/*.parquet"))
    landed.write_bytes(landed.read_bytes()[:100])
    result = moved.run(instance, "marts_pi1", KEYS[0], KEYS[-1])
    assert not result.success
    shown = statuses(instance, moved.defs, QUALITY)
    assert shown["g001|2026-01-03"] == "MATERIALIZED"
    assert shown["g000|2026-01-02"] == "FAILED"
    assert str(landed) in observations(instance, QUALITY)["g000|2026-01-02"]


def test_marts_without_partitions_say_so_once(moved: MemoryPlant, instance: Any) -> None:
    with pytest.raises(dg.DagsterInvariantViolationError, match=r"^No partitions were chosen\."):
        moved.defs.resolve_job_def("marts_pi1").execute_in_process(instance=instance)
    [run] = instance.get_runs()[:1]
    assert run.tags["dagster/max_retries"] == "0", "the daemon would launch it again"


def test_the_report_is_a_file_whose_path_is_shown(moved: MemoryPlant, instance: Any) -> None:
    assert moved.run(instance, "marts_pi1", KEYS[0], KEYS[-1]).success
    assert moved.run(instance, "report_pi1").success
    ((_, metadata),) = materializations(instance, REPORT)
    path = moved.line.plant.state_dir / "reports" / "pi1.html"
    assert metadata["report"] == str(path)
    assert "<html" in path.read_text(encoding="utf-8")
    assert moved.run(instance, "backfill_pi1", KEYS[0], KEYS[0]).success
    assert materializations(instance)[-1][1]["report"] == str(path)


def test_a_report_of_nothing_says_so(memory_plant: MemoryPlant, instance: Any) -> None:
    result = memory_plant.run(instance, "report_pi1")
    assert "nothing of source 'pi1' is covered yet" in failure(result)


def evaluations(plant: MemoryPlant, instance: Any) -> dict[str, dg.AssetCheckEvaluation]:
    job = plant.defs.resolve_implicit_global_asset_job_def()
    keys = set(job.asset_layer.asset_graph.asset_check_keys)
    subset = job.get_subset(asset_selection=set(), asset_check_selection=keys)
    result = subset.execute_in_process(instance=instance, raise_on_error=False)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_checks_pass_on_a_sound_plant(moved: MemoryPlant, instance: Any) -> None:
    moved.run(instance, "marts_pi1", KEYS[0], KEYS[-1])
    found = evaluations(moved, instance)
    assert {name: each.passed for name, each in found.items()} == dict.fromkeys(
        ("coverage", "drift", "swept", "fresh", "quality"), True
    )
    assert found["coverage"].metadata["share_covered"].value == 1.0
    assert found["quality"].metadata["percent_good"].value == 100.0
    assert found["quality"].metadata["events"].value == len(POINTS) * 3 * 144


def test_drift_is_seen(moved: MemoryPlant, instance: Any) -> None:
    moved.source.lies["A1"] = 7
    found = evaluations(moved, instance)
    assert not found["drift"].passed
    assert "| A1 | 2026-01-03 | 151 | 144 | 144 |" in found["drift"].metadata["drift"].value


def test_gaps_are_seen(memory_plant: MemoryPlant, instance: Any) -> None:
    for key in (KEYS[0], KEYS[1], KEYS[4], KEYS[5]):
        memory_plant.run(instance, "backfill_pi1", key, key)
    found = evaluations(memory_plant, instance)
    assert not found["coverage"].passed
    assert "2026-01-02T00:00:00Z | 2026-01-03T00:00:00Z" in found["coverage"].metadata["gaps"].value
    assert "66.67%" in (found["coverage"].description or "")


def test_checks_of_an_untouched_plant_are_readable(memory_plant: MemoryPlant, instance: Any) -> None:
    found = evaluations(memory_plant, instance)
    assert found["coverage"].description == "nothing is covered yet"
    assert found["quality"].description == "the mart holds no events yet"
