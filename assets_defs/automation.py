"""Marts that follow: what is made of the samples is made again when they are new, backfilled, mended or restated.

One sensor a plant, off until somebody switches it on. What was there before that is left alone; of history that a
backfill brings afterwards a tick asks for all that has come since, as one backfill of range runs.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg

from pipelines.plant import Plant, SourceSettings
from pipelines.timeline import DAY_NS

FOLLOW = "marts_follow"
OPEN_CRON = "23 3 * * *"
"""UTC. Marts of a window that is still open are made anew once a day: its samples change every hour."""
REPORT_CRON = "53 4 * * *"
_EVERY_S = 60
_RUN_TAGS = {"dagster/priority": "-1"}
"""Behind what moves and proves."""


def follows_samples(settings: SourceSettings) -> dg.AutomationCondition[dg.AssetKey]:
    """When the marts of a window and point group are made: its samples are new since they were made last."""
    condition: Any = dg.AutomationCondition  # its own types do not let conditions of deps be combined
    fresh = condition.any_deps_updated().since_last_handled()
    if settings.end is None:
        opened = condition.in_latest_time_window(_open_ahead(settings))
        fresh &= ~opened | condition.cron_tick_passed(OPEN_CRON).since_last_handled()
    idle = ~condition.any_deps_missing() & ~condition.any_deps_in_progress() & ~condition.in_progress()
    followed: dg.AutomationCondition[dg.AssetKey] = (fresh & idle).with_label("samples are new")
    return followed


def follows_marts() -> dg.AutomationCondition[dg.AssetKey]:
    """When the report is written: once a day, if its marts are new."""
    condition: Any = dg.AutomationCondition  # its own types do not let conditions of deps be combined
    fresh = condition.any_deps_updated().since_last_handled()
    due = condition.cron_tick_passed(REPORT_CRON).since_last_handled()
    idle = ~condition.any_deps_in_progress() & ~condition.in_progress()
    followed: dg.AutomationCondition[dg.AssetKey] = (fresh & due & idle).with_label("marts are new, once a day")
    return followed


def build_automation(plant: Plant) -> dg.AutomationConditionSensorDefinition:
    """The one sensor of the plant."""
    return dg.AutomationConditionSensorDefinition(
        FOLLOW,
        target=dg.AssetSelection.groups(*(settings.name for settings in plant.source)),
        minimum_interval_seconds=_EVERY_S,
        default_status=dg.DefaultSensorStatus.STOPPED,
        run_tags=_RUN_TAGS,
        description="Makes aggregates, quality figures and exports again when their samples are new, backfilled, "
        f"mended or restated; of open windows once a day ({OPEN_CRON} UTC), as the report ({REPORT_CRON} UTC). "
        "Nothing that was there before it was switched on. Off until you switch it on.",
    )


def _open_ahead(settings: SourceSettings) -> dt.timedelta | None:
    """How much before the end of the last window, which a horizon moves ahead, the open ones begin."""
    if not settings.horizon:
        return None
    length_days = 31 if settings.window == "month" else 1
    ahead = 1 + -(-settings.horizon // (length_days * DAY_NS))
    return dt.timedelta(days=length_days * ahead)
