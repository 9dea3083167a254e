"""`ferry points`: the catalogue with each point's newest event and how much of it is covered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.options import framed, source
from cli.session import Session

if TYPE_CHECKING:
    from assets_defs.line import Line
    from pipelines.plant import SourceSettings
    from pipelines.points import Point
    from pipelines.timeline import Interval

_TEXT_MAX = 40


@click.command(short_help="List points: unit, type, last value, coverage.")
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@framed
@source
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="List so many at most.")
def points(session: Session, globs: tuple[str, ...], source_name: str | None, limit: int) -> None:
    """List points of the catalogue, by name: unit, type, last value in IoTDB and its time, coverage.

    The source is not asked: `ferry discover` reads its catalogue anew. Coverage is of the span that the plant file
    names, without what is unproved of the point.
    """
    from pipelines.timeline import iso

    settings, screen = session.source(source_name), session.screen
    with session.line() as line:
        wanted = _wanted(line, settings, globs)
        shown = sorted(wanted, key=lambda point: point.name)[:limit]
        span = session.span(settings, None, None)
        shares = _shares(line, settings, shown, span)
        with screen.busy(f"reading the last values of {len(shown):,} points"):
            newest = {event["point"]: event for event in _newest(line, settings, shown)}
        gone = line.gone(settings)
    rows = [_as_json(point, newest.get(point.id), shares[point.id], gone.get(point.id)) for point in shown]
    screen.say(f"Source {settings.name}: {len(wanted):,} points, coverage of {span}", style="bold")
    columns = ("name", "unit", "type", "last value", "quality", "at", "covered", "description")
    screen.table("", columns, [_row(row) for row in rows])
    if len(wanted) > limit:
        screen.say(f"… and {len(wanted) - limit:,} more: name a GLOB, or a higher --limit", style="dim")
    screen.emit(
        {"source": settings.name, "start": iso(span.start_ns), "end": iso(span.end_ns), "total": len(wanted),
         "points": rows}
    )  # fmt: skip


def legible(text: str, longest: int = _TEXT_MAX) -> str:
    """A text from a plant as a terminal may show it: on one line, without control characters, not too long."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _wanted(line: Line, settings: SourceSettings, globs: tuple[str, ...]) -> list[Point]:
    from pipelines.points import selected
    from pipelines.ports import Stop

    known = line.catalogue(settings)
    if not known:
        raise Stop(f"no point of source {settings.name!r} is known yet: `ferry discover` asks it for them")
    found = selected(known, globs or ("*",))
    if not found:
        raise Stop(f"{' '.join(globs)!r} names none of the {len(known):,} points of source {settings.name!r}")
    return found


def _shares(line: Line, settings: SourceSettings, shown: Sequence[Point], span: Interval) -> dict[str, float]:
    """By point the covered share of the span, 0 to 1, without what is excepted."""
    from pipelines.points import group_label, group_of
    from pipelines.timeline import clip, subtract

    excepted: dict[str, list[Interval]] = {}
    for each in line.ledger.exclusions(settings.name, None, span):
        excepted.setdefault(each.point, []).append(each.span)
    groups = {point.id: group_label(group_of(point.id, settings.point_groups)) for point in shown}
    covered = {group: clip(line.ledger.coverage(settings.name, group), span) for group in sorted(set(groups.values()))}
    return {
        point: sum(part.length_ns for part in subtract(covered[group], excepted.get(point, ()))) / span.length_ns
        for point, group in groups.items()
    }


def _newest(line: Line, settings: SourceSettings, shown: Sequence[Point]) -> list[dict[str, Any]]:
    import pyarrow as pa

    table = line.store.latest(settings.name, [point.id for point in shown])
    times = table["time"].cast(pa.int64())
    rows: list[dict[str, Any]] = table.set_column(table.column_names.index("time"), "time", times).to_pylist()
    return rows


def _as_json(point: Point, event: dict[str, Any] | None, share: float, gone_ns: int | None) -> dict[str, Any]:
    from pipelines.timeline import iso

    last = None
    if event is not None:
        last = {"value": _value(event), "quality": event["quality"], "time": iso(event["time"])}
    return {
        "name": point.name, "unit": point.unit, "type": point.source_type or point.kind, "kind": point.kind,
        "description": point.description, "last": last, "covered_percent": round(100 * share, 3),
    } | ({} if gone_ns is None else {"gone_since": iso(gone_ns)})  # fmt: skip


def _value(event: dict[str, Any]) -> float | int | str:
    """The number; the text of a state, or its number where it has none. NaN and infinities by name: JSON has none."""
    from pipelines.samples import NO_CODE

    number: float | None = event["value"]
    if number is not None:
        return number if math.isfinite(number) else str(number)
    text, code = str(event["text"]), int(event["code"])
    return code if not text and code != NO_CODE else text


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    from cli.progress import percent

    last, covered = row["last"], percent(row["covered_percent"] / 100)
    about = f"gone at the source since {row['gone_since']}" if "gone_since" in row else row["description"]
    head = (legible(row["name"], 80), legible(row["unit"], 12), legible(row["type"], 16))
    if last is None:
        return (*head, "–", "", "", covered, legible(about, 52))
    value = last["value"]
    text = f"{value:.10g}" if isinstance(value, float) else legible(str(value)) or '""'
    return (*head, text, _quality(last["quality"]), last["time"], covered, legible(about, 52))


def _quality(quality: int) -> str:
    from pipelines.samples import GOOD_FLOOR, UNCERTAIN

    return "good" if quality >= GOOD_FLOOR else "uncertain" if quality >= UNCERTAIN else "bad"
