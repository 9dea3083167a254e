"""Quality figures of a window: per point and UTC day, and what bad events said instead of a value.

A silent point has rows too, of 0 events and a gap as long as the day. Held quality: an event's quality holds until
the next event, so `percent_good_time` of a day counts the time before its first event by the event before it.
"""

from __future__ import annotations

import pyarrow as pa

from pipelines.marts.events import batches
from pipelines.marts.inputs import Made, MartInput
from pipelines.timeline import DAY_NS

QUALITY_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string()),
        pa.field("time", pa.timestamp("ns", tz="UTC")),  # start of the day
        pa.field("events", pa.int64()),
        pa.field("bad", pa.int64()),  # quality < 64
        pa.field("uncertain", pa.int64()),  # 64 ≤ quality < 192
        pa.field("substituted", pa.int64()),  # entered or corrected by hand: quality 216 or 72
        pa.field("states", pa.int64()),  # events without a number in a numeric point
        pa.field("non_finite", pa.int64()),
        pa.field("ties", pa.int64()),  # events beyond the first at their stamp
        pa.field("out_of_limits", pa.int64()),  # usable numbers outside zero … zero + span
        pa.field("longest_gap_s", pa.float64()),  # longest time without an event, inside the day
        pa.field("stuck_s", pa.float64()),  # longest time from first to last event of one unchanging number
        pa.field("percent_good_time", pa.float64()),
        pa.field("max_events_per_s", pa.int64()),  # most events in one second of the clock
        pa.field("first_ns", pa.int64()),
        pa.field("last_ns", pa.int64()),
    ]
)

BAD_STATES_SCHEMA = pa.schema(
    [
        pa.field("point", pa.string()),
        pa.field("time", pa.timestamp("ns", tz="UTC")),  # start of the day
        pa.field("text", pa.string()),  # I/O Timeout, Bad Input, …; '' for a number of bad quality
        pa.field("quality", pa.int32()),
        pa.field("detail", pa.int32()),
        pa.field("events", pa.int64()),
    ]
)


def build_quality(given: MartInput) -> Made:
    """Writes the marts `quality` and `bad_states` of a window, a file a point group, in the place of older ones.

    Raises DamagedLanding, NoRoom.
    """
    window = given.window
    values: dict[str, object] = {
        "first_day_ns": window.start_ns // DAY_NS * DAY_NS, "start_ns": window.start_ns, "end_ns": window.end_ns,
    }  # fmt: skip
    with given.database() as database:
        days = batches(database, "quality/point_days.sql", values)
        bad = batches(database, "quality/bad_states.sql", {})
        return {
            "quality": given.write("quality", QUALITY_SCHEMA, days),
            "bad_states": given.write("bad_states", BAD_STATES_SCHEMA, bad),
        }
