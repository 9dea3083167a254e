"""What a Dagster instance remembers of an asset, for assertions."""

from __future__ import annotations

from typing import Any

import dagster as dg

SAMPLES = dg.AssetKey(["pi1", "samples"])


def materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey = SAMPLES
) -> list[tuple[str | None, dict[str, Any]]]:
    """(partition, metadata) of every materialization, oldest first."""
    records = instance.fetch_materializations(key, limit=1000, ascending=True).records
    found = []
    for record in records:
        event = record.asset_materialization
        assert event is not None
        found.append((event.partition, {name: value.value for name, value in event.metadata.items()}))
    return found


def observations(instance: dg.DagsterInstance, key: dg.AssetKey = SAMPLES) -> dict[str | None, str]:
    """Partition → description of every observation."""
    records = instance.fetch_observations(key, limit=1000, ascending=True).records
    return {
        event.partition: event.description or ""
        for record in records
        if (event := record.asset_observation) is not None
    }


def statuses(instance: dg.DagsterInstance, defs: dg.Definitions, key: dg.AssetKey = SAMPLES) -> dict[str, str | None]:
    """What the partitions grid of the UI shows."""
    partitions = defs.resolve_asset_graph().get(key).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    found = instance.get_status_by_partition(key, keys, partitions)
    return {each: status.value if (status := (found or {}).get(each)) else None for each in keys}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The one error of a failed run."""
    failed = [event for event in result.all_events if event.is_step_failure]
    assert len(failed) == 1, failed
    error = failed[0].step_failure_data.error
    assert error is not None
    return error.message.removeprefix("dagster._core.definitions.events.Failure: ").strip()
