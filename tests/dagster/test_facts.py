"""What we rely on in Dagster, pinned: an upgrade that changes one of these tells us which assumption broke."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from assets_defs.partitions import RANGE_END, RANGE_START
from tests.dagster.event_log import materializations, observations

KEY = dg.AssetKey(["s", "a"])
PARTITIONS = dg.MultiPartitionsDefinition(
    {
        "window": dg.TimeWindowPartitionsDefinition(
            start="2026-01-01", end="2026-02-01", fmt="%Y-%m-%d", cron_schedule="0 0 * * *"
        ),
        "point_group": dg.StaticPartitionsDefinition(["g000", "g001", "g002"]),
    }
)
FIRST, LAST = "g000|2026-01-02", "g001|2026-01-04"
RECTANGLE = {f"g00{g}|2026-01-0{d}" for g in (0, 1) for d in (2, 3, 4)}


def ran(
    instance: dg.DagsterInstance, body: Callable[[dg.AssetExecutionContext], None], pool: str | None = None
) -> dg.ExecuteInProcessResult:
    """A range run of an asset with this body."""

    def a(context: dg.AssetExecutionContext) -> None:
        body(context)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        asset = dg.asset(
            a, key=KEY, partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.multi_run(6), pool=pool
        )
    job = dg.Definitions(assets=[asset], jobs=[dg.define_asset_job("j", [asset])]).resolve_job_def("j")
    tags = {RANGE_START: FIRST, RANGE_END: LAST}
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_a_range_of_two_dimensions_is_the_rectangle(instance: Any) -> None:
    seen: list[str] = []
    assert ran(instance, lambda context: seen.extend(context.partition_keys)).success
    assert set(seen) == RECTANGLE
    assert {key for key, _ in materializations(instance, KEY)} == RECTANGLE


def test_keys_name_the_dimensions_in_alphabetical_order() -> None:
    key = dg.MultiPartitionKey({"window": "2026-01-02", "point_group": "g000"})
    assert str(key) == FIRST
    assert PARTITIONS.has_partition_key(FIRST)


def test_metadata_may_be_added_per_partition(instance: Any) -> None:
    def body(context: dg.AssetExecutionContext) -> None:
        for index, key in enumerate(context.partition_keys):
            context.add_asset_metadata({"n": index}, partition_key=key)

    assert ran(instance, body).success
    found = materializations(instance, KEY)
    assert len(found) == len(RECTANGLE)
    assert {metadata["n"] for _, metadata in found} == set(range(6))


def test_events_that_were_logged_before_a_failure_stay(instance: Any) -> None:
    done = sorted(RECTANGLE)[:4]

    def body(context: dg.AssetExecutionContext) -> None:
        for key in done:
            group, window = key.split("|")
            partition = dg.MultiPartitionKey({"window": window, "point_group": group})
            context.log_event(dg.AssetMaterialization(KEY, partition=partition))
        raise dg.Failure("two are not through", allow_retries=False)

    assert not ran(instance, body).success
    assert [key for key, _ in materializations(instance, KEY)] == done
    status = instance.get_status_by_partition(KEY, sorted(RECTANGLE), PARTITIONS)
    assert [status[key].value for key in sorted(RECTANGLE)] == ["MATERIALIZED"] * 4 + ["FAILED"] * 2


def test_events_that_were_logged_before_a_success_come_twice(instance: Any) -> None:
    """Which is why window_events.py logs them itself only when the run fails."""

    def body(context: dg.AssetExecutionContext) -> None:
        for key in context.partition_keys:
            context.log_event(dg.AssetMaterialization(KEY, partition=key, metadata={"n": 1}))

    assert ran(instance, body).success
    found = materializations(instance, KEY)
    assert len(found) == 2 * len(RECTANGLE)
    assert found[-1][1] == {}


def test_an_observation_does_not_make_a_partition_materialized(instance: Any) -> None:
    def body(context: dg.AssetExecutionContext) -> None:
        context.log_event(dg.AssetObservation(KEY, partition=FIRST, description="why"))
        raise dg.Failure("no")

    assert not ran(instance, body).success
    assert observations(instance, KEY) == {FIRST: "why"}
    status = instance.get_status_by_partition(KEY, [FIRST], PARTITIONS)
    assert status[FIRST].value == "FAILED"


def test_open_source_dagster_stores_no_failure_events_of_its_own(instance: Any) -> None:
    """If this fails, ASSET_FAILED_TO_MATERIALIZE has come, and our observations may go."""
    assert not instance.event_log_storage.can_store_asset_failure_events


def test_a_materialization_without_a_run_clears_a_failure(instance: Any) -> None:
    def body(_: dg.AssetExecutionContext) -> None:
        raise dg.Failure("no")

    ran(instance, body)
    partition = dg.MultiPartitionKey({"window": "2026-01-02", "point_group": "g000"})
    instance.report_runless_asset_event(dg.AssetMaterialization(KEY, partition=partition))
    status = instance.get_status_by_partition(KEY, sorted(RECTANGLE), PARTITIONS)
    assert [key for key, each in status.items() if each.value == "MATERIALIZED"] == [FIRST]


def test_a_run_without_partitions_reaches_the_body(instance: Any) -> None:
    """So that the body can say in one sentence what is wrong."""
    said: list[bool] = []

    def a(context: dg.AssetExecutionContext) -> None:
        said.append(context.has_partition_key or context.has_partition_key_range)
        raise dg.Failure("none chosen")

    asset = dg.asset(a, key=KEY, partitions_def=PARTITIONS)
    job = dg.Definitions(assets=[asset], jobs=[dg.define_asset_job("j", [asset])]).resolve_job_def("j")
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    assert said == [False]


def test_a_run_that_was_found_dead_gives_its_slot_back(stored_instance: Any) -> None:
    storage = stored_instance.event_log_storage
    storage.set_concurrency_slots("p", 1)
    claim = storage.claim_concurrency_slot("p", "dead-run", "step")
    assert claim.is_claimed
    assert storage.get_concurrency_info("p").active_run_ids == {"dead-run"}
    storage.free_concurrency_slots_for_run("dead-run")
    assert storage.get_concurrency_info("p").active_slot_count == 0


@pytest.mark.parametrize(("count", "runs"), [(2, 2), (40, 31)])
def test_a_backfill_is_cut_into_contiguous_ranges(count: int, runs: int) -> None:
    """Over groups × 31 days: as many as the shorter side. A rectangle is one run by range tags only."""
    partitions = dg.MultiPartitionsDefinition(
        {
            "window": PARTITIONS.get_partitions_def_for_dimension("window"),
            "point_group": dg.StaticPartitionsDefinition([f"g{index:03d}" for index in range(count)]),
        }
    )
    subset = partitions.subset_with_all_partitions()
    assert len(subset.get_partition_key_ranges(partitions)) == runs


def test_the_rendered_instance_is_json_and_yaml() -> None:
    import yaml

    text = json.dumps({"storage": {"postgres": {"postgres_url": {"env": "X"}}}}, indent=2)
    assert yaml.safe_load(text)["storage"]["postgres"]["postgres_url"] == {"env": "X"}
