"""Reports that were made before: kept beside the newest, and what changed since the last one.

<reports>/pi1.html                               the newest
<reports>/pi1/2026-02-01T060000Z.html            each one as it was made, the newest too
<reports>/pi1/2026-02-01T060000Z.json            its figures a point, which the next report is compared with
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.marts.files import appearing
from pipelines.timeline import MINUTE_NS, Interval, from_datetime

Row = dict[str, Any]

KEPT = 30
"""So many reports of a source stay; older ones are removed."""
_FORMAT = 1
_STEP_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a report told: of each point (id) its name, events, percent of good time and score."""

    made: dt.datetime
    span: Interval
    points: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different from the report before. `worse` and `better`: rows of name, then, now (% of good time)."""

    before: Told
    same_span: bool
    new: list[str]
    gone: list[str]
    silent: list[str]
    heard: list[str]
    worse: list[Row]
    better: list[Row]

    @property
    def made_ns(self) -> int:
        """When the report before was made, to the minute."""
        return from_datetime(self.before.made) // MINUTE_NS * MINUTE_NS

    @property
    def any(self) -> bool:
        """Whether anything is different."""
        return bool(self.new or self.gone or self.silent or self.heard or self.worse or self.better)


def folder_of(newest: Path) -> Path:
    """Where the reports are kept of which `newest` is the newest."""
    return newest.with_suffix("")


def told(made: dt.datetime, span: Interval, rows: Sequence[Row]) -> Told:
    """What a report of these rows of `point_figures` tells."""
    points = {
        row["point"]: {
            "name": row["name"], "events": row["events"], "good": row["percent_good_time"], "score": row["score"]
        }
        for row in rows
    }  # fmt: skip
    return Told(made, span, points)


def last_before(newest: Path, now: Told) -> Told | None:
    """The last kept report made before this one whose span begins with the same instant; without one the last of all.

    One that cannot be read is passed over.
    """
    last = None
    for path in sorted(folder_of(newest).glob("*.json"), reverse=True):
        if path.stem < _stem(now.made) and (found := _read(path)) is not None:
            if found.span.start_ns == now.span.start_ns:
                return found
            last = last or found
    return last


def keep(newest: Path, page: str, now: Told) -> Path:
    """Keeps the page and its figures under the time it was made, and removes the oldest beyond KEPT. Raises NoRoom."""
    folder = folder_of(newest)
    kept = folder / f"{_stem(now.made)}.html"
    content = {
        "format": _FORMAT, "made": now.made.isoformat(), "start_ns": now.span.start_ns, "end_ns": now.span.end_ns,
        "points": now.points,
    }  # fmt: skip
    with appearing(kept.with_suffix(".json")) as part:
        part.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    with appearing(kept) as part:
        part.write_text(page, encoding="utf-8")
    for path in sorted(folder.glob("*.html"), reverse=True)[KEPT:]:
        path.unlink(missing_ok=True)
        path.with_suffix(".json").unlink(missing_ok=True)
    return kept


def changes(before: Told, now: Told) -> Changes:
    """What is different; a point's good time is where it changed by a percent of the time or more, most first."""
    both = before.points.keys() & now.points.keys()

    def names(points: Mapping[str, Row], ids: set[str]) -> list[str]:
        return sorted(points[each]["name"] for each in ids)

    moved = [
        {"name": now.points[each]["name"], "then": before.points[each]["good"], "now": now.points[each]["good"]}
        for each in both
        if before.points[each]["good"] is not None and now.points[each]["good"] is not None
    ]
    return Changes(
        before=before,
        same_span=before.span == now.span,
        new=names(now.points, now.points.keys() - both),
        gone=names(before.points, before.points.keys() - both),
        silent=names(now.points, {p for p in both if before.points[p]["events"] and not now.points[p]["events"]}),
        heard=names(now.points, {p for p in both if not before.points[p]["events"] and now.points[p]["events"]}),
        worse=sorted(
            (row for row in moved if row["then"] - row["now"] >= _STEP_PERCENT),
            key=lambda row: (row["now"] - row["then"], row["name"]),
        ),
        better=sorted(
            (row for row in moved if row["now"] - row["then"] >= _STEP_PERCENT),
            key=lambda row: (row["then"] - row["now"], row["name"]),
        ),
    )


def _stem(made: dt.datetime) -> str:
    return made.astimezone(dt.UTC).strftime("%Y-%m-%dT%H%M%SZ")


def _read(path: Path) -> Told | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return None
        span = Interval(content["start_ns"], content["end_ns"])
        return Told(dt.datetime.fromisoformat(content["made"]), span, content["points"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
