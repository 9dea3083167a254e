"""Asking a source for its points: what it lists is recorded, and what it no longer lists is not believed at once.

A login that lost a permission sees fewer points, and a server that was restored numbers all of them anew. Neither may
end a point's history or begin it again, so a person is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from pipelines.plant import SourceSettings
from pipelines.points import Point, may_vanish, merge_catalogue, rebound, rekeyed, selected
from pipelines.ports import Choosy, FerryError, Source, Stop
from pipelines.timeline import Interval, iso

if TYPE_CHECKING:
    from assets_defs.line import Line

Answer = Literal["", "accept_loss", "same_server"]
"""What a person said to what was asked before: the source is right, or it is the server of before with other keys."""
_NAMED, _LONG = 5, 80
_PROBES = 5
_LOOKED_FOR = 50


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a look at the source's catalogue found. `missing`: names that are no longer listed, and not believed gone;
    `gone`: those that are, since this look; `left_out`: those that the source has and nobody reads, by why."""

    points: int
    changed: int
    newcomers: int
    missing: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Before:
    """The catalogue as it was: all points that ever were, those that count as there, and those that were asked for."""

    known: list[Point]
    live: list[Point]
    wanted: list[Point]

    @property
    def unselected(self) -> list[Point]:
        """What the plant file no longer asks for."""
        wanted = {point.id for point in self.wanted}
        return [point for point in self.live if point.id not in wanted]


def discover(line: Line, settings: SourceSettings, answer: Answer = "", by: str = "") -> Discovery:
    """Asks the source for its points and records what changed; `by` says who gave the answer.

    Raises Retry, and Stop where it shows no point at all, or most under other keys than before.
    """
    found, left_out = line.with_source(settings, all_of)
    before = _before(line, settings)
    if before.known and not found and answer != "accept_loss":
        _miss(line, settings, before, before.wanted)
        raise Stop(
            f"source {settings.name!r} shows no point at all, and had {len(before.known):,}: a permission or the name "
            "of the data server is wrong there, or `points` and `exclude` of the plant file leave none. None is "
            "believed gone: correct it, then ferry discover"
        )
    if not answer:
        _ask_about_keys(line, settings, before, found)
    other_keys = answer == "same_server" and rekeyed(before.wanted, found)
    known = rebound(before.known, found) if other_keys else before.known
    merged = merge_catalogue(known, found)
    listed = {point.id for point in merged}
    absent = [point for point in before.wanted if point.id not in listed]
    believed = answer == "accept_loss" or _believed(line, settings, before, absent)
    changed = line.ledger.save_points(
        settings.name, merged, settings.point_groups,
        missing=[] if believed else absent,
        unselected=[point for point in before.unselected if point.id not in listed],
        accepted_by=by if absent and answer == "accept_loss" else "",
        selection=settings.selection,
    )  # fmt: skip
    line.store.write_points(settings.name, merged)
    line.hand_over(settings)
    names = tuple(sorted(point.name for point in absent))
    newcomers = len(listed - {point.id for point in known})
    gone, missing = (names, ()) if believed else ((), names)
    return Discovery(len(merged), changed, newcomers, missing, gone, left_out)


async def all_of(source: Source) -> tuple[list[Point], Mapping[str, Sequence[str]]]:
    """The points of a source, and the names of those that it leaves out, by why. Raises Stop, Retry."""
    found = await source.discover()
    return found, source.left_out if isinstance(source, Choosy) else {}


def left_out_told(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """For a person: how many points are not read, which and why, a line a reason."""
    return [f"{len(names):,} not read, {why}: {named(names)}" for why, names in sorted(left_out.items())]


def asks_for_others(line: Line, settings: SourceSettings) -> bool:
    """Whether the source was asked for its points for another choice of the plant file, or never."""
    return line.ledger.selection(settings.name) != settings.selection


def look_for_points(line: Line, settings: SourceSettings) -> None:
    """Asks the source for its points where it was not for what the plant file asks for now; raises as `discover`.

    Before anything is moved: what is moved without a point must be known to lack it once the point is asked for again.
    """
    if asks_for_others(line, settings):
        line.discover(settings)


def check_selection(line: Line, settings: SourceSettings) -> None:
    """Raises Stop where the plant file asks again for points that it did not ask for when history was moved."""
    if back := selected(line.ledger.unselected(settings.name), settings.points, settings.exclude):
        raise Stop(
            f"the plant file asks for {len(back):,} points of source {settings.name!r} again that it had left out: "
            f"{named([point.name for point in back])}. What was moved meanwhile lacks them: `{_command(settings)}` "
            "takes that down, then `ferry backfill` or sync moves it"
        )


def missing_told(line: Line, settings: SourceSettings) -> str:
    """For a person: which points are missing and not believed gone, since when, and what to do; '' for none."""
    missing = [each for each in line.absences(settings) if not each.believed]
    if not missing:
        return ""
    since = iso(min(each.since_ns for each in missing))
    return (
        f"{len(missing):,} points are no longer listed by source {settings.name!r} since {since}: "
        f"{named(sorted(each.point.name for each in missing))}. So many at once are not believed gone: look whether "
        f"the login may still see them, and run `{_command(settings)}`. If the source is right: `{_command(settings)} "
        "--accept-loss`"
    )


def named(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(name if len(name) <= _LONG else f"{name[:_LONG]}…" for name in names[:_NAMED]) + more


def _before(line: Line, settings: SourceSettings) -> _Before:
    live = line.ledger.load_points(settings.name)
    there = {point.id for point in live}
    vanished = [point for point in line.ledger.known_points(settings.name) if point.id not in there]
    return _Before([*vanished, *live], live, selected(live, settings.points, settings.exclude))


def _believed(line: Line, settings: SourceSettings, before: _Before, absent: Sequence[Point]) -> bool:
    """Whether they are gone: few, also with what went before without anybody being asked. Of PLCs the tag map says what
    there is, and a person writes that."""
    if not absent or settings.connection:
        return True
    unasked = line.ledger.gone_unasked(settings.name)
    return len(absent) + unasked <= may_vanish(len(before.wanted) + unasked, line.plant.limits.believe_shrink)


def _miss(line: Line, settings: SourceSettings, before: _Before, missing: Sequence[Point]) -> None:
    """Records nothing but that these are missing."""
    ids = {point.id for point in missing}
    kept = [point for point in before.live if point.id not in ids]
    line.ledger.save_points(settings.name, kept, settings.point_groups, missing=missing)


def _ask_about_keys(line: Line, settings: SourceSettings, before: _Before, found: Sequence[Point]) -> None:
    """Raises Stop where more points have other keys than may vanish: each would begin again as another series."""
    pairs = rekeyed(before.wanted, found)
    if len(pairs) <= may_vanish(len(before.wanted), line.plant.limits.believe_shrink):
        return
    keys = {point.source_key for point in found}
    again = {point.id for point, _ in pairs}
    _miss(
        line, settings, before,
        [point for point in before.wanted if point.id in again or point.source_key not in keys],
    )  # fmt: skip
    old, new = pairs[0]
    raise Stop(
        f"source {settings.name!r} shows {len(pairs):,} of {len(before.wanted):,} points under their names and types, "
        f"but as other points: {old.name!r} was {old.source_key} and is {new.source_key}. Was the server restored, "
        f"moved or set up anew? {_probe(line, settings, pairs)}. Nothing new was recorded. If it is the same plant: "
        f"`{_command(settings)} --same-server` goes on with their history; if they are others: `{_command(settings)} "
        "--accept-loss` begins new ones"
    )


def _command(settings: SourceSettings) -> str:
    return f"ferry discover --source {settings.name}"


def _probe(line: Line, settings: SourceSettings, pairs: Sequence[tuple[Point, Point]]) -> str:
    """What the source answers for the newest stored events of a few of the points."""
    try:
        stored = line.store.latest(settings.name, [old.id for old, _ in pairs[:_LOOKED_FOR]])
        newest = {row["point"]: row for row in _rows(stored)[:_PROBES]}
        asked = [replace(new, id=old.id) for old, new in pairs if old.id in newest]
        same = line.with_source(settings, lambda source: _same(source, asked, newest, line.store.clock_ns))
    except FerryError as error:
        return f"Its data could not be compared: {error}"
    if not newest:
        return "Nothing is stored yet to compare its data with"
    return f"Of {len(newest):,} points that were looked at, {same:,} have their newest stored event there, too"


async def _same(source: Source, points: Sequence[Point], newest: dict[str, dict[str, Any]], clock_ns: int) -> int:
    same = 0
    for point in points:
        event = newest[point.id]
        answers: list[dict[str, Any]] = []
        async for pulled in source.pull([point], Interval(event["time"], event["time"] + clock_ns), 1_000):
            answers += _rows(pulled.samples)
        same += any(_what(event) == _what(each) for each in answers)
    return same


def _rows(events: pa.Table) -> list[dict[str, Any]]:
    """Events as Python values; times in UTC nanoseconds."""
    times = events["time"].cast(pa.int64())
    rows: list[dict[str, Any]] = events.set_column(events.column_names.index("time"), "time", times).to_pylist()
    return rows


def _what(event: dict[str, Any]) -> str:
    return repr((event["value"], event["text"], event["code"]))
