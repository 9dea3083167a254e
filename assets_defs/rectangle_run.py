"""One run rectangle in a process of its own: the same job that the UI launches, against the same instance.

python -m assets_defs.rectangle_run PLANT_FILE JOB FIRST_KEY LAST_KEY [RUN_CONFIG_JSON]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import dagster as dg

from assets_defs.definitions import build_defs
from assets_defs.instance import own_tags

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def main(arguments: list[str]) -> int:
    """0 when the run succeeded, 1 when it failed; why stands in the events and in Dagster's log."""
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "100")
    plant_file, job_name, first, last, *config = arguments
    defs = build_defs(Path(plant_file))
    job = defs.resolve_job_def(job_name)
    tags = {RANGE_START: first, RANGE_END: last, **own_tags()}
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            tags=tags,
            run_config=json.loads(config[0]) if config else None,
            raise_on_error=False,
        )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
