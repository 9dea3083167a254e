"""The asset graph as plain data, for the golden file.

python -m tests.dagster.graph   writes tests/cases/dagster/graph.json anew
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

_SHOWN = ("dagster/uri", "dagster/table_name", "dagster/column_schema")
GOLDEN = Path(__file__).parents[1] / "cases" / "dagster" / "graph.json"
PLANT = GOLDEN.with_name("ferry.toml")


def graph(defs: dg.Definitions) -> dict[str, Any]:
    """Assets, checks and jobs with what scripts and people rely on."""
    assets = {}
    checks = {}
    for definition in defs.assets or []:
        made = isinstance(definition, dg.AssetsDefinition)
        for spec in definition.specs if made else [definition]:
            assets[spec.key.to_user_string()] = {
                "deps": {dep.asset_key.to_user_string(): type(dep.partition_mapping).__name__ for dep in spec.deps},
                "group": spec.group_name,
                "kinds": sorted(spec.kinds),
                "tags": {name: text for name, text in spec.tags.items() if not name.startswith("dagster/kind/")},
                "owners": list(spec.owners),
                "metadata": sorted(name for name in spec.metadata if not name.startswith("dagster/") or name in _SHOWN),
                "partitions": _partitions(spec.partitions_def),
                "backfill_policy": str(definition.backfill_policy) if made and definition.backfill_policy else None,
                "pool": definition.op.pool if made else None,
            }
    for definition in defs.asset_checks or []:
        assert isinstance(definition, dg.AssetChecksDefinition)
        for check in definition.check_specs:
            checks[f"{check.asset_key.to_user_string()}:{check.name}"] = {
                "blocking": check.blocking,
                "pool": definition.op.pool,
            }
    jobs = {}
    for job in defs.jobs or []:
        resolved = defs.resolve_job_def(job.name)
        jobs[job.name] = {
            "assets": sorted(key.to_user_string() for key in resolved.asset_layer.executable_asset_keys),
            "checks": sorted(str(key) for key in resolved.asset_layer.asset_graph.asset_check_keys),
            "executor": resolved.executor_def.name,
            "tags": dict(resolved.tags),
            "partitions": _partitions(resolved.partitions_def),
        }
    return {"assets": assets, "checks": checks, "jobs": jobs}


def _partitions(definition: dg.PartitionsDefinition | None) -> dict[str, Any] | None:
    if definition is None:
        return None
    assert isinstance(definition, dg.MultiPartitionsDefinition)
    keys = definition.get_partition_keys()
    return {
        "dimensions": [each.name for each in definition.partitions_defs],
        "count": len(keys),
        "first": keys[0],
        "last": keys[-1],
    }


if __name__ == "__main__":
    from assets_defs.definitions import build_defs

    GOLDEN.write_text(json.dumps(graph(build_defs(PLANT)), indent=1) + "\n", encoding="utf-8")
