"""The Events view: alarms and operators' writes of each day, from the seed (facts/historians.md 2.8, HIST/202325)."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pyarrow as pa

from simulators.pi_web_api.signals import dice
from simulators.wonderware.configuration import arrow_schema
from simulators.wonderware.events import DAY_NS, TICK_NS
from simulators.wonderware.plant import Plant
from simulators.wonderware.retrieval import Options, Span
from simulators.wonderware.tables import EVENTS
from simulators.wonderware.zones import to_wall

_ALARMS_A_DAY, _WRITES_A_DAY = 90, 40
_LIMITS = ("LoLo", "Lo", "Hi", "HiHi")
_PRIORITIES = (50, 250, 500, 800)  # 1 to 999, low is important
_NAMESPACE = uuid.UUID("6f1d6c1e-0d4e-5d0c-9a53-6d0a2f0c9b11")
_MINUTE_NS = 60_000_000_000
_Row = dict[str, Any]


def event_rows(plant: Plant, span: Span, options: Options) -> pa.Table:
    """The events in the span by time; EventTime is the wall clock of the zone, EventTimeUtc is what it says."""
    settings = plant.settings
    first = max(span.first_ns, settings.start_ns)
    last = min(span.last_ns, settings.end_ns - 1, plant.last_visible_ns())
    rows: list[_Row] = []
    for day in range(first // DAY_NS, last // DAY_NS + 1):
        rows += [row for row in _day(plant, day) if first <= row["EventTimeUtc"] <= last]
    times = np.asarray([row["EventTimeUtc"] for row in rows], dtype=np.int64)
    walls = to_wall(times, options.zone)
    zone = dict(options.echoes).get("wwtimezone")
    for row, time_ns, wall_ns in zip(rows, times.tolist(), walls.tolist(), strict=True):
        row |= {"EventTime": wall_ns, "EventTimeUTCOffsetMins": (wall_ns - time_ns) // _MINUTE_NS, "wwTimeZone": zone}
    schema = arrow_schema(EVENTS.columns)
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


def _day(plant: Plant, day: int) -> list[_Row]:
    """The events of a UTC day, by time; those of an alarm that lasts beyond midnight end with the day."""
    seed = plant.settings.seed
    draw = dice(seed, 0, day, "alarms")
    numbers = sorted(plant.catalogue.specs)
    rows = []
    for alarm in range(_ALARMS_A_DAY):
        number, limit = numbers[int(draw.integers(0, len(numbers)))], int(draw.integers(0, len(_LIMITS)))
        start = day * DAY_NS + int(draw.integers(0, DAY_NS // TICK_NS - 2)) * TICK_NS
        lasts = min(int(draw.exponential(900) * 1e7) * TICK_NS + TICK_NS, (day + 1) * DAY_NS - TICK_NS - start)
        stages = [("Alarm.Set", start), ("Alarm.Clear", start + lasts)]
        if draw.random() < 0.7:
            stages.append(("Alarm.Acknowledged", start + lasts // TICK_NS // 2 * TICK_NS))
        for kind, time_ns in stages:
            row = _row(plant, number, kind, time_ns, f"{seed}/{day}/{alarm}/{kind}")
            row |= {"Priority": _PRIORITIES[limit], "Severity": limit + 1, "IsAlarm": True}
            rows.append(row | {"Comment": f"{_LIMITS[limit]} limit", "ValueString": f"{draw.normal(50, 10):.3f}"})
    for write in range(_WRITES_A_DAY):
        number = numbers[int(draw.integers(0, len(numbers)))]
        time_ns = day * DAY_NS + int(draw.integers(0, DAY_NS // TICK_NS)) * TICK_NS
        row = _row(plant, number, "User.Write", time_ns, f"{seed}/{day}/{write}/write")
        old, new = draw.integers(0, 100, 2).tolist()
        row |= {"Priority": 999, "Severity": 4, "IsAlarm": False, "User_Name": ("Бригадир", "operator 1")[write % 2]}
        rows.append(row | {"ValueString": str(new), "PreviousValueString": str(old)})
    return sorted(rows, key=lambda row: (row["EventTimeUtc"], row["ID"]))


def _row(plant: Plant, number: int, kind: str, time_ns: int, identity: str) -> _Row:
    name = plant.catalogue.first_names[number]
    return {
        "ID": str(uuid.uuid5(_NAMESPACE, identity)),
        "EventTimeUtc": time_ns,
        "Type": kind,
        "Source_Object": name.rpartition(".")[0] or name,
        "Source_ProcessVariable": name,
        "Source_Area": f"Area{number % 7}",
        "Source_Engine": "AppEngine_001",
        "Source_Platform": "WinPlatform_001",
    }
