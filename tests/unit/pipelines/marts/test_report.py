"""The quality report: what it says, with much, with nothing, and with names that are meant to break pages."""

from __future__ import annotations

import datetime as dt
import html.parser
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.evidence import Evidence, Scope, gather
from pipelines.landing import Landing
from pipelines.ledger import PROVISIONAL
from pipelines.marts import MartInput, build_aggregates, build_quality
from pipelines.marts.report import ReportContext, render_report
from pipelines.points import Point
from pipelines.ports import PROOF_SCHEMA, Exclusion, SliceId, SliceRecord
from pipelines.timeline import HOUR_NS, Interval, parse
from tests.unit.cli.conftest import CatalogueLedger

SPAN = Interval(parse("2026-01-01"), parse("2026-01-03"))
DAYS = [Interval(SPAN.start_ns, parse("2026-01-02")), Interval(parse("2026-01-02"), SPAN.end_ns)]
NASTY = "<script>alert('x')</script>\"&amp;]]>"
POINTS = [
    Point("T1", "T1", "number", unit="°C", description="boiler"),
    Point("V1", "V1", "digital", step=True),
    Point("S1", "S1", "number"),
]
ROWS = [
    *(("T1", f"2026-01-01T{hour:02}:10:00Z", 20.0 + hour, 192) for hour in range(24)),
    ("T1", "2026-01-01T12:20:00Z", "I/O Timeout", 24),
    ("T1", "2026-01-02T05:00:00Z", 1.0, 0),
    *(("V1", f"2026-01-0{1 + n // 9}T0{n % 9}:00:00Z", ("Open", "Closed")[n % 2], 192) for n in range(18)),
]


def _evidence(
    tmp_path: Path,
    points: list[Point],
    spans: list[Interval],
    *,
    exclusions: Sequence[Exclusion] = (),
    failed: Sequence[str] = (),
    followed: bool = False,
    open_from_ns: int | None = None,
    **more: Any,
) -> Evidence:
    """Of slices in which every point has ten events (`more` says otherwise); `failed` points were not counted."""
    ledger = CatalogueLedger()
    row = {
        "proof": "counted", "origin": "independent", "source_events": 10, "events": 10, "stored_events": 10, "good": 10,
        "first_ns": 0, "last_ns": 0, "total": 0.0, "digest": None,
    } | more  # fmt: skip
    untold = {**row, "proof": "none", "origin": "none", "source_events": None, "stored_events": 0}
    for span in spans:
        rows = [{**(untold if point.id in failed else row), "point": point.id} for point in points]
        events = sum(each["events"] for each in rows)
        slice_id = SliceId("pi1", "g000", span)
        note = PROVISIONAL if followed else ""
        lost = [Exclusion("pi1", "g000", point, span, "the source gave no count for it") for point in failed]
        ledger.commit(
            SliceRecord(slice_id, "verified", f"g{span.start_ns}", events=events, points=len(points), note=note),
            pa.Table.from_pylist(rows, schema=PROOF_SCHEMA), lost, keep_proofs=not followed,
        )  # fmt: skip
    ledger.exclude(exclusions)
    scope = Scope(
        "pi1", SPAN, {"g000": [point.id for point in points]}, DAYS,
        open_from_ns={} if open_from_ns is None else {"g000": open_from_ns},
    )  # fmt: skip
    return gather(ledger, Landing(tmp_path / "landing"), scope)


def _context(tmp_path: Path, **more: Any) -> ReportContext:
    values: dict[str, Any] = {
        "source": "pi1", "span": SPAN, "evidence": _evidence(tmp_path, [], []), "points": (),
        "marts": tmp_path / "marts", "pieces": (), "generated_at": dt.datetime(2026, 2, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    return ReportContext(**(values | more))


def _full(tmp_path: Path, land: Any, points: list[Point] = POINTS, rows: Any = ROWS, **more: Any) -> ReportContext:
    pieces = land(rows, SPAN)
    for build in (build_aggregates, build_quality):
        build(MartInput(points, pieces, SPAN, tmp_path / "marts", 256 << 20, "pi1", "g000"))
    evidence = more.pop("evidence", None) or _evidence(tmp_path, points, DAYS)
    return _context(tmp_path, points=points, pieces=pieces, evidence=evidence, **more)


def _page(context: ReportContext, tmp_path: Path) -> str:
    return render_report(context, tmp_path / "report.html").read_text(encoding="utf-8")


def _words(page: str) -> str:
    """The text that a person reads, without tags, styles and repeated spaces."""

    class Reader(html.parser.HTMLParser):
        def handle_data(self, text: str) -> None:
            found.append(text)

    found: list[str] = []
    reader = Reader()
    reader.feed(re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    return " ".join(" ".join(found).replace("\u202f", "").split())


def test_a_proved_plant(tmp_path: Path, land: Any) -> None:
    page = _page(_full(tmp_path, land), tmp_path)
    words = _words(page)
    assert "<h1>Proved</h1>" in page
    assert "Events at the source 60 = Events landed 60 = Events in the store 60" in words
    assert "1 silent point" in words
    assert "I/O Timeout" in words
    assert "without a text, bad (quality 0)" in words
    assert "Points that are not proved" not in words
    assert page.count("<svg") == 4  # coverage, rates, T1, V1
    assert "could not be drawn" not in page


def test_the_page_asks_nothing_of_the_network(tmp_path: Path, land: Any) -> None:
    page = _page(_full(tmp_path, land), tmp_path)
    assert set(re.findall(r"https?://[^\"' )]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "<script" not in page
    assert "default-src 'none'" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_the_same_context_gives_the_same_page(tmp_path: Path, land: Any) -> None:
    context = _full(tmp_path, land)
    assert _page(context, tmp_path) == _page(context, tmp_path)


def test_without_anything(tmp_path: Path) -> None:
    words = _words(_page(_context(tmp_path), tmp_path))
    assert "Nothing was moved yet" in words
    assert "Events at the source — = Events landed — = Events in the store —" in words
    assert "No event landed in this span." not in words


def test_an_empty_window_is_proved_too(tmp_path: Path, land: Any) -> None:
    zero = _evidence(tmp_path, POINTS, DAYS, source_events=0, events=0, stored_events=0, good=0)
    words = _words(_page(_full(tmp_path, land, rows=[], evidence=zero), tmp_path))
    assert "Proved The source holds no event in this span" in words
    assert "3 silent points" in words


def test_only_unproved_points(tmp_path: Path, land: Any) -> None:
    evidence = _evidence(tmp_path, POINTS, DAYS, failed=[point.id for point in POINTS])
    words = _words(_page(_full(tmp_path, land, evidence=evidence), tmp_path))
    assert "Not proved 60 events landed, and no point is proved over all of the span." in words
    assert "T1 [2026-01-02T00:00:00Z, 2026-01-03T00:00:00Z): the source gave no count for it" in words
    assert "Events at the source — " in words


def test_exceptions_are_named_with_their_reason(tmp_path: Path, land: Any) -> None:
    exclusion = Exclusion("pi1", "g000", "V1", Interval(SPAN.start_ns, SPAN.start_ns + HOUR_NS), "PI says: no access")
    elsewhen = Exclusion("pi1", "g000", "T1", Interval(SPAN.end_ns, SPAN.end_ns + HOUR_NS), "another time")
    evidence = _evidence(tmp_path, POINTS, DAYS, failed=["S1"], exclusions=[exclusion, elsewhen])
    words = _words(_page(_full(tmp_path, land, evidence=evidence), tmp_path))
    assert "Proved, except for 2 points" in words
    assert "V1 [2026-01-01T00:00:00Z, 2026-01-01T01:00:00Z): PI says: no access" in words
    assert "another time" not in words
    assert "Drift Where the newest check found different numbers" in words


def test_points_that_were_never_tried_are_counted_by_their_gap(tmp_path: Path, land: Any) -> None:
    points = [Point(f"P{index}", f"P{index}", "number") for index in range(9)]
    evidence = _evidence(tmp_path, points, DAYS[:1])
    words = _words(_page(_full(tmp_path, land, points=points, rows=[], evidence=evidence), tmp_path))
    assert "Not proved 90 events landed" in words
    assert "9 points [2026-01-02T00:00:00Z, 2026-01-03T00:00:00Z) is not covered; ferry backfill fills it" in words


def test_what_sync_has_proved_is_proved_and_its_newest_end_is_open(tmp_path: Path, land: Any) -> None:
    followed = Interval(SPAN.start_ns, SPAN.end_ns - HOUR_NS)
    evidence = _evidence(tmp_path, POINTS, [followed], followed=True, open_from_ns=followed.end_ns)
    words = _words(_page(_full(tmp_path, land, evidence=evidence), tmp_path))
    assert "Proved 30 events of 3 points" in words
    assert "open from 2026-01-02 23:00 on" in words
    assert "Events at the source 30 = Events landed 30 = Events in the store 30" in words
    late = _evidence(tmp_path, POINTS, [followed], followed=True, open_from_ns=SPAN.end_ns)
    assert "Not proved" in _words(_page(_full(tmp_path, land, evidence=late), tmp_path))


@pytest.mark.parametrize("kind", ["number", "digital"])
def test_nasty_names_stay_text(kind: Any, tmp_path: Path, land: Any) -> None:
    points = [Point("N", NASTY, kind, unit=NASTY, description=NASTY)]
    rows = [
        ("N", "2026-01-01T01:00:00Z", 1.0 if kind == "number" else NASTY, 192),
        ("N", "2026-01-01T02:00:00Z", NASTY, 24),
        ("N", "2026-01-01T03:00:00Z", 2.0 if kind == "number" else "Open", 192),
    ]
    exclusion = Exclusion("pi1", "g000", "N", SPAN, NASTY)
    evidence = _evidence(tmp_path, points, DAYS, exclusions=[exclusion])
    page = _page(_full(tmp_path, land, points=points, rows=rows, evidence=evidence, plant=NASTY), tmp_path)
    assert "<script" not in page
    assert _words(page).count("alert('x')") >= 6


def test_numbers_that_no_picture_can_show(tmp_path: Path, land: Any) -> None:
    rows = [("T1", f"2026-01-01T0{hour}:00:00Z", (-1.7e308, 1.7e308)[hour % 2], 192) for hour in range(4)]
    assert "T1" in _words(_page(_full(tmp_path, land, rows=rows), tmp_path))
