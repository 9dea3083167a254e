"""The one Dagster resource: it knows where the plant file is and opens the line of that plant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from assets_defs.line import Line, open_line
from pipelines.plant import Plant, load_plant


class FerryResource(dg.ConfigurableResource[Line]):
    """Thin: everything is read from the plant file; no secret passes through run config."""

    plant_file: str

    def plant(self) -> Plant:
        """The plant file as it is now. Raises Stop when it is wrong."""
        return load_plant(Path(self.plant_file))

    @contextmanager
    def line(self, run_id: str) -> Iterator[Line]:
        """The opened line for one step. Raises Stop for a wrong plant file."""
        with open_line(self.plant(), run_id=run_id) as line:
            yield line
