"""Everything Dagster sees of a plant. `build_defs` assembles it; `defs` is what workspace.yaml points to."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import dagster as dg

from assets_defs.automation import build_automation
from assets_defs.catalog import build_upstream, catalogued
from assets_defs.checks import build_checks
from assets_defs.ferry_resource import FerryResource
from assets_defs.jobs import build_jobs
from assets_defs.journal import KINDS, build_journal
from assets_defs.marts_assets import build_marts, build_report
from assets_defs.samples import build_samples
from assets_defs.schedules import build_following
from assets_defs.snapshots import build_snapshots
from assets_defs.watch import build_watch
from pipelines.plant import load_plant
from resources.modes import keep_private


def plant_file() -> Path:
    """The plant file: $FERRY_PLANT, else ferry.toml in the working folder."""
    return Path(os.environ.get("FERRY_PLANT") or "ferry.toml").absolute()


def build_defs(path: Path | None = None, ferry: FerryResource | None = None) -> dg.Definitions:
    """Definitions of a plant. Starts nothing and asks nobody. Raises Stop for a wrong plant file.

    `ferry` is what opens the line; a test gives its own.
    """
    path = path or plant_file()
    plant = load_plant(path)
    keep_private(plant)
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = []
    checks: list[dg.AssetChecksDefinition] = []
    jobs: list[dg.JobDefinition | dg.UnresolvedAssetJobDefinition] = []
    schedules: list[dg.ScheduleDefinition] = []
    with warnings.catch_warnings():
        # What we use of Dagster's beta is pinned by tests/dagster; an operator can do nothing about the warnings.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        for settings in plant.source:
            mine: list[dg.AssetsDefinition | dg.AssetSpec] = [
                build_upstream(settings), build_samples(settings), *build_marts(settings), build_report(settings)
            ]  # fmt: skip
            if settings.kind in KINDS:
                mine.append(build_journal(settings))
            checks += build_checks(settings)
            following, timed = build_following(settings)
            jobs += [*build_jobs(settings), *following]
            schedules += timed
            if settings.kind == "plc4x":
                snapshot, job, schedule = build_snapshots(settings)
                mine.append(snapshot)
                jobs.append(job)
                schedules.append(schedule)
            assets += catalogued(plant, settings, mine)
        sensors = [build_watch(plant), build_automation(plant)]
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs,
        schedules=schedules,
        sensors=sensors,
        resources={"ferry": ferry or FerryResource(plant_file=str(path))},
        executor=dg.in_process_executor,
    )
