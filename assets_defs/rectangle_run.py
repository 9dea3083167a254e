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
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from assets_defs.definitions import build_defs
from assets_defs.events import emit
from assets_defs.failures import tell_error
from assets_defs.instance import MAX_RETRIES_TAG, opened_instance, own_tags, pool_holders
from assets_defs.location import job_origin
from assets_defs.partitions import RANGE_END, RANGE_START
from resources.foreign import meaning_of
from resources.leaving import leave

LIFELINE = "FERRY_LIFELINE_FD"
STOP_SIGNAL = signal.SIGUSR1
"""Ends a run as canceled. At SIGTERM, which Dagster takes over while it executes, it ends as failed."""
_LOOK_S = 5.0
_ORPHANED = 75
_NICE = 5
"""A sync beside it, which people look at, gets the processor first."""


def main(arguments: list[str]) -> int:
    """0 when the run succeeded, 1 when it failed; why stands in the events and in Dagster's log."""
    end_with_parent()
    for number in (signal.SIGTERM, STOP_SIGNAL):
        signal.signal(number, signal.default_int_handler)
    os.nice(_NICE)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "100")
    plant_file, job_name, first, last, *config = arguments
    defs = build_defs(Path(plant_file))
    job = defs.resolve_job_def(job_name)
    # A retry by the daemon would do again what whoever started us is about to do.
    tags = {RANGE_START: first, RANGE_END: last, MAX_RETRIES_TAG: "0", **own_tags()}
    with opened_instance() as instance:
        say_if_waiting(instance, job)
        # Like `execute_in_process`, which would leave out where the UI finds the job.
        run = instance.create_run_for_job(
            job,
            tags={**job.run_tags, **tags},
            run_config=json.loads(config[0]) if config else None,
            remote_job_origin=job_origin(Path(os.environ["DAGSTER_HOME"]), job_name),
        )
        end_as_canceled(instance, run.run_id)
        result = execute_run(InMemoryJob(job), run, instance)
    return 0 if result.success else 1


def telling(arguments: list[str]) -> int:
    """Like `main`; what Dagster itself dies of, as of a full disk under its log, is told to whoever started us."""
    try:
        return main(arguments)
    except Exception as error:
        if (meant := meaning_of(error)) is not None:
            tell_error(meant)
        raise


def say_if_waiting(instance: dg.DagsterInstance, job: dg.JobDefinition) -> None:
    """Another run, perhaps of the UI, may hold the source's pool; this one then waits for it."""
    for pool in sorted({node.pool for node in job.all_node_defs if isinstance(node, dg.OpDefinition) and node.pool}):
        if others := pool_holders(instance, pool):
            emit({"kind": "waiting", "holders": others})


def end_as_canceled(instance: dg.DagsterInstance, run_id: str) -> None:
    """Makes the stop signal, and a cancellation in the UI, end the run, which Dagster then keeps as canceled."""
    asked = threading.Event()
    signal.signal(STOP_SIGNAL, lambda *_: asked.set())

    def wait() -> None:
        try:
            while not asked.wait(_LOOK_S):
                run = instance.get_run_by_id(run_id)
                if run and run.status in {dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED}:
                    break
            else:
                run = instance.get_run_by_id(run_id)
                if run and not run.is_finished:
                    instance.report_run_canceling(run, "Whoever started it stopped it.")
        finally:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    threading.Thread(target=wait, name="canceling", daemon=True).start()


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
    leave(telling(sys.argv[1:]))
