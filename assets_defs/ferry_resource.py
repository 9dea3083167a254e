"""The one Dagster resource: it knows where the plant file is and opens the line of that plant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from assets_defs.failures import no_partitions
from assets_defs.instance import MAX_RETRIES_TAG
from assets_defs.line import Line, open_line
from assets_defs.partitions import RANGE_START
from pipelines.plant import Plant, load_plant

PARTITIONS_TAG = ".dagster/ferry_needs_partitions_of"
"""On jobs of assets with partitioned parents: Dagster would fail them before their bodies, and less readably."""


class FerryResource(dg.ConfigurableResource[Line]):
    """Thin: everything is read from the plant file; no secret passes through run config."""

    plant_file: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Refuses a run of such a job that was launched without partitions."""
        tags = context.run.tags if context.run else {}
        if PARTITIONS_TAG in tags and not {RANGE_START, "dagster/partition"} & set(tags):
            if context.run and context.instance:  # to Dagster this is a crash, which it would try again
                context.instance.add_run_tags(context.run.run_id, {MAX_RETRIES_TAG: "0"})
            # Of Dagster's own class: any other comes out wrapped, with the sentence below a stack trace.
            raise dg.DagsterInvariantViolationError(no_partitions(self.plant().find(tags[PARTITIONS_TAG])))

    def plant(self) -> Plant:
        """The plant file as it is now. Raises Stop when it is wrong."""
        return load_plant(Path(self.plant_file))

    @contextmanager
    def line(self, run_id: str, urgent: bool = False) -> Iterator[Line]:
        """The opened line for one step; `urgent` for sync. Raises Stop for a wrong plant file."""
        with open_line(self.plant(), run_id=run_id) as line:
            line.urgent = urgent
            yield line
