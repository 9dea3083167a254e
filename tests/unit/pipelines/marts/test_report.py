"""The quality report: what it says, with much, with nothing, and with names that are meant to break pages."""

from __future__ import annotations

import datetime as dt
import html.parser
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.marts import MartInput, build_aggregates, build_quality
from pipelines.marts.figures import SLICE_PROOF_SCHEMA
from pipelines.marts.report import ReportContext, render_report
from pipelines.points import Point
from pipelines.ports import Exclusion
from pipelines.timeline import HOUR_NS, Interval, parse

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


def _proofs(points: list[Point], spans: list[Interval], **more: Any) -> pa.Table:
    row = {
        "proof": "counted", "origin": "independent", "source_events": 10, "events": 10, "stored_events": 10, "good": 10,
        "first_ns": 0, "last_ns": 0, "total": 0.0, "digest": None, "group": "g000",
    }  # fmt: skip
    rows = [
        {**row, "point": point.id, "start_ns": span.start_ns, "end_ns": span.end_ns, **more}
        for point in points for span in spans
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SLICE_PROOF_SCHEMA)


def _context(tmp_path: Path, **more: Any) -> ReportContext:
    values: dict[str, Any] = {
        "source": "pi1", "span": SPAN, "proofs": SLICE_PROOF_SCHEMA.empty_table(), "exclusions": (), "points": (),
        "marts": tmp_path / "marts", "pieces": (), "generated_at": dt.datetime(2026, 2, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    return ReportContext(**(values | more))


def _full(tmp_path: Path, land: Any, points: list[Point] = POINTS, rows: Any = ROWS, **more: Any) -> ReportContext:
    pieces = land(rows, SPAN)
    for build in (build_aggregates, build_quality):
        build(MartInput(points, pieces, SPAN, tmp_path / "marts", 256 << 20, "pi1", "g000"))
    return _context(tmp_path, points=points, pieces=pieces, **({"proofs": _proofs(points, DAYS)} | more))


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
    assert "Nothing is proved" in words
    assert "No event landed in this span." in words


def test_an_empty_window_is_proved_too(tmp_path: Path, land: Any) -> None:
    zero = _proofs(POINTS, DAYS, source_events=0, events=0, stored_events=0, good=0)
    words = _words(_page(_full(tmp_path, land, rows=[], proofs=zero), tmp_path))
    assert "Proved The source holds no event in this span" in words
    assert "3 silent points" in words


def test_only_unproved_points(tmp_path: Path, land: Any) -> None:
    proofs = _proofs(POINTS, DAYS, proof="none", origin="none", source_events=None, stored_events=0)
    words = _words(_page(_full(tmp_path, land, proofs=proofs), tmp_path))
    assert "Not proved 60 events landed, and for no point was agreement with the source proved." in words
    assert "T1 counts differ: source —, landed 20, stored 0; unproved over the whole span" in words
    assert "Events at the source — " in words


def test_exceptions_are_named_with_their_reason(tmp_path: Path, land: Any) -> None:
    proofs = pa.concat_tables(
        [
            _proofs(POINTS[:2], DAYS),
            _proofs(POINTS[2:], DAYS[:1], proof="none", source_events=12),
            _proofs(POINTS[2:], DAYS[1:]),
        ]
    )
    exclusion = Exclusion("pi1", "g000", "V1", Interval(SPAN.start_ns, SPAN.start_ns + HOUR_NS), "PI says: no access")
    elsewhen = Exclusion("pi1", "g000", "T1", Interval(SPAN.end_ns, SPAN.end_ns + HOUR_NS), "another time")
    words = _words(_page(_full(tmp_path, land, proofs=proofs, exclusions=[exclusion, elsewhen]), tmp_path))
    assert "Proved, except for 2 points" in words
    assert "V1 PI says: no access" in words
    assert "S1 counts differ: source 12, landed 10, stored 10; unproved over 50.0 % of the span" in words
    assert "another time" not in words
    assert "Drift Slices whose newest check found different numbers" in words


def test_points_that_were_never_tried_are_counted_by_group(tmp_path: Path, land: Any) -> None:
    points = [Point(f"P{index}", f"P{index}", "number") for index in range(9)]
    proofs = pa.concat_tables([_proofs(points[:5], DAYS[:1]), _proofs(points[5:], DAYS, group="g001")])
    words = _words(_page(_full(tmp_path, land, points=points, rows=[], proofs=proofs), tmp_path))
    assert "Proved, except for 5 points" in words
    assert "5 points of g000 unproved over 50.0 % of the span: no slice was tried there" in words


def test_slices_that_overlap_do_not_count_twice(tmp_path: Path, land: Any) -> None:
    late = Interval(SPAN.start_ns + 6 * HOUR_NS, DAYS[0].end_ns)
    proofs = _proofs(POINTS, [DAYS[0], late])
    assert "Proved, except for 3 points" in _words(_page(_full(tmp_path, land, proofs=proofs), tmp_path))


@pytest.mark.parametrize("kind", ["number", "digital"])
def test_nasty_names_stay_text(kind: Any, tmp_path: Path, land: Any) -> None:
    points = [Point("N", NASTY, kind, unit=NASTY, description=NASTY)]
    rows = [
        ("N", "2026-01-01T01:00:00Z", 1.0 if kind == "number" else NASTY, 192),
        ("N", "2026-01-01T02:00:00Z", NASTY, 24),
        ("N", "2026-01-01T03:00:00Z", 2.0 if kind == "number" else "Open", 192),
    ]
    exclusion = Exclusion("pi1", "g000", "N", SPAN, NASTY)
    page = _page(_full(tmp_path, land, points=points, rows=rows, exclusions=[exclusion], plant=NASTY), tmp_path)
    assert "<script" not in page
    assert _words(page).count("alert('x')") >= 6


def test_numbers_that_no_picture_can_show(tmp_path: Path, land: Any) -> None:
    rows = [("T1", f"2026-01-01T0{hour}:00:00Z", (-1.7e308, 1.7e308)[hour % 2], 192) for hour in range(4)]
    assert "T1" in _words(_page(_full(tmp_path, land, rows=rows), tmp_path))
