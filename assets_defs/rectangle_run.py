"""One run rectangle in a process of its own: the same job that the UI launches, against the same instance.

python -m assets_defs.rectangle_run PLANT_FILE JOB FIRST_KEY LAST_KEY [RUN_CONFIG_JSON]
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import dagster as dg

from assets_defs.definitions import build_defs
from assets_defs.events import emit
from assets_defs.instance import MAX_RETRIES_TAG, own_tags
from assets_defs.partitions import RANGE_END, RANGE_START

LIFELINE = "FERRY_LIFELINE_FD"
_ORPHANED = 75
_NICE = 5
"""A sync beside it, which people look at, gets the processor first."""


def main(arguments: list[str]) -> int:
    """0 when the run succeeded, 1 when it failed; why stands in the events and in Dagster's log."""
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.nice(_NICE)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "100")
    plant_file, job_name, first, last, *config = arguments
    defs = build_defs(Path(plant_file))
    job = defs.resolve_job_def(job_name)
    # A retry by the daemon would do again what whoever started us is about to do.
    tags = {RANGE_START: first, RANGE_END: last, MAX_RETRIES_TAG: "0", **own_tags()}
    with dg.DagsterInstance.get() as instance:
        say_if_waiting(instance, job)
        result = job.execute_in_process(
            instance=instance,
            tags=tags,
            run_config=json.loads(config[0]) if config else None,
            raise_on_error=False,
        )
    return 0 if result.success else 1


def say_if_waiting(instance: dg.DagsterInstance, job: dg.JobDefinition) -> None:
    """Another run, perhaps of the UI, may hold the source's pool; this one then waits for it."""
    storage = instance.event_log_storage
    pools = {node.pool for node in job.all_node_defs if isinstance(node, dg.OpDefinition) and node.pool}
    for pool in pools & set(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        if info.active_slot_count >= info.slot_count:
            emit({"kind": "waiting", "pool": pool, "runs": sorted(info.active_run_ids)})


def end_with_parent() -> None:
    """Ends this process at once when the one that started it is gone, so that its leases are free for the next."""
    descriptor = os.environ.pop(LIFELINE, None)
    if descriptor is None:
        return

    def wait() -> None:
        while os.read(int(descriptor), 1):
            pass
        os._exit(_ORPHANED)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
