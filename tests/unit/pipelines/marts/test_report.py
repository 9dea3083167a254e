"""The quality report: what it says, with much, with nothing, and with names that are meant to break pages."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html.parser
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.evidence import Evidence, Scope, gather
from pipelines.landing import Landing, Piece
from pipelines.ledger import PROVISIONAL
from pipelines.marts import Landed, MartInput, build_aggregates, build_quality, kept_reports
from pipelines.marts.report import ReportContext, render_report
from pipelines.points import Point
from pipelines.ports import PROOF_SCHEMA, Exclusion, SliceId, SliceRecord
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, iso, parse
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
    within: Interval = SPAN,
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
        "pi1", within, {"g000": [point.id for point in points]}, DAYS,
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
        build(MartInput({"g000": Landed(points, pieces)}, SPAN, tmp_path / "marts", 256 << 20, "pi1"))
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
    reader.feed(re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL))
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
    assert page.count("<svg") == 6  # coverage, rates, days, heat, T1, V1
    assert "could not be drawn" not in page


def test_the_page_asks_nothing_of_the_network(tmp_path: Path, land: Any) -> None:
    page = _page(_full(tmp_path, land), tmp_path)
    assert set(re.findall(r"https?://[^\"' )]+", page)) == {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    [script] = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert f'content="{policy}"' in page
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
    assert "Not known: no aggregates were made for this span." in words
    assert "Bad events — Uncertain — Substituted — Ties —" in words


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
    assert page.count("<script") == 1, "ours, which the policy names by its digest"
    assert _words(page).count("alert('x')") >= 6


def test_numbers_that_no_picture_can_show(tmp_path: Path, land: Any) -> None:
    rows = [("T1", f"2026-01-01T0{hour}:00:00Z", (-1.7e308, 1.7e308)[hour % 2], 192) for hour in range(4)]
    assert "T1" in _words(_page(_full(tmp_path, land, rows=rows), tmp_path))


def test_a_span_within_a_day_has_the_figures_of_just_that_span(tmp_path: Path, land: Any) -> None:
    """The quality marts know whole days only: 24 events and a bad one, of which six are asked for."""
    span = Interval(SPAN.start_ns + 6 * HOUR_NS, SPAN.start_ns + 12 * HOUR_NS)
    full = _full(tmp_path, land)
    before = [Piece(piece.path, Interval(SPAN.start_ns, span.start_ns)) for piece in full.pieces]
    pieces = [Piece(piece.path, span) for piece in full.pieces]
    words = _words(
        _page(
            replace(
                full, span=span, pieces=pieces, before=before, evidence=_evidence(tmp_path, POINTS, [span], within=span)
            ),
            tmp_path,
        )
    )
    assert "Landed events, 5 min a bar: 9 in all, of which 0 bad" in words
    assert "T1 boiler 0.0 100 % 6 0 1 h" in words
    assert "V1 0.0 100 % 3 0 4 h" in words, "closed at 08:00, and what was before held from the start"


def test_a_span_of_days_and_parts_of_days_adds_both_up(tmp_path: Path, land: Any) -> None:
    span = Interval(SPAN.start_ns - 3 * HOUR_NS, SPAN.end_ns - 20 * HOUR_NS)
    full = _full(tmp_path, land)
    words = _words(_page(replace(full, span=span, evidence=_evidence(tmp_path, POINTS, [span], within=span)), tmp_path))
    # T1 has 25 events on the first day; V1 nine on the first and four in the first four hours of the second.
    assert "38 in all, of which 1 bad" in words


def test_days_without_quality_figures_are_not_known(tmp_path: Path, land: Any) -> None:
    longer = Interval(SPAN.start_ns, SPAN.end_ns + 2 * DAY_NS)
    words = _words(_page(replace(_full(tmp_path, land), span=longer), tmp_path))
    assert "Of 6 point days no quality figures were made; they are left out below." in words


def test_times_are_in_the_zone_of_the_plant(tmp_path: Path, land: Any) -> None:
    words = _words(_page(_full(tmp_path, land, zone="Europe/Berlin"), tmp_path))
    assert "2026-01-01 01:00 to 2026-01-03 01:00 Europe/Berlin" in words
    assert "made 2026-02-01 01:00 Europe/Berlin" in words
    assert "UTC" not in words.replace("in UTC days", "")


def test_the_worst_point_is_not_the_one_with_five_events(tmp_path: Path, land: Any) -> None:
    points = [Point("FEW", "FEW", "number"), Point("POOR", "POOR", "number"), Point("FINE", "FINE", "number")]
    start = SPAN.start_ns
    rows = [
        *(("FEW", iso(start + n * 9 * HOUR_NS), 1.0, 0) for n in range(5)),
        *(("POOR", iso(start + n * 6 * MINUTE_NS), float(n), 192 if n % 10 < 3 else 0) for n in range(480)),
        *(("FINE", iso(start + n * 6 * MINUTE_NS), float(n), 192) for n in range(480)),
    ]
    words = _words(_page(_full(tmp_path, land, points=points, rows=rows), tmp_path))
    first = words.index("Points to look at first")
    assert words.index("POOR 63.4 30.0 %", first) < words.index("FEW 9.1 0 %", first)
    assert "FINE" not in words[first : words.index("Longest gaps", first)]


def test_limits_are_drawn_where_they_fit_and_named_where_not(tmp_path: Path, land: Any) -> None:
    rows = [("T1", f"2026-01-01T{hour:02}:00:00Z", 20.0 + hour, 192) for hour in range(24)]
    near = [Point("T1", "T1", "number", zero=10.0, span=40.0)]
    far = [Point("T1", "T1", "number", zero=0.0, span=4000.0)]
    page = _page(_full(tmp_path, land, near, rows), tmp_path)
    assert all(f">{what}<" in page for what in ("low limit", "high limit", "median"))
    page = _page(_full(tmp_path, land, far, rows), tmp_path)
    assert ">low limit<" in page and ">high limit<" not in page
    assert "High limit 4000 is outside of the picture." in _words(page)


def test_the_report_before_is_kept_and_compared_with(tmp_path: Path, land: Any) -> None:
    first = _page(_full(tmp_path, land), tmp_path)
    assert "What changed since the last report" not in first
    later = dt.datetime(2026, 2, 2, 6, tzinfo=dt.UTC)
    points = [*POINTS[:2], Point("N1", "N1", "number")]
    rows = [
        *(row for row in ROWS if row[0] == "V1"),
        ("T1", "2026-01-01T12:00:00Z", 1.0, 0),
        ("T1", "2026-01-01T00:00:00Z", 1.0, 192),
    ]
    words = _words(_page(_full(tmp_path, land, points, sorted(rows), generated_at=later), tmp_path))
    changed = words[words.index("What changed since the last report") :]
    assert "It was made 2026-02-01 00:00 over 2026-01-01 00:00 to 2026-01-03 00:00." in changed
    assert "1 new N1 1 gone from the catalogue S1" in changed
    assert "Less good time Point Then Now T1 58.7 % 25.0 %" in changed
    kept = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert kept == [f"2026-02-0{n}.{end}" for n in ("1T000000Z", "2T060000Z") for end in ("html", "json")]
    assert (tmp_path / "report" / "2026-02-01T000000Z.html").read_text(encoding="utf-8") == first
    again = _words(
        _page(_full(tmp_path, land, points, sorted(rows), generated_at=later + dt.timedelta(hours=1)), tmp_path)
    )
    assert "Nothing: no point is new, gone, silent or heard again" in again


def test_only_so_many_reports_are_kept(tmp_path: Path, land: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_reports, "KEPT", 2)
    for day in (1, 2, 3):
        _page(_context(tmp_path, generated_at=dt.datetime(2026, 2, day, tzinfo=dt.UTC)), tmp_path)
    assert sorted(path.stem for path in (tmp_path / "report").glob("*.html")) == [
        "2026-02-02T000000Z",
        "2026-02-03T000000Z",
    ]
    assert len(list((tmp_path / "report").glob("*.json"))) == 2


def test_a_kept_report_that_cannot_be_read_is_passed_over(tmp_path: Path, land: Any) -> None:
    (tmp_path / "report").mkdir()
    for name, content in (("2026-01-01T000000Z", "{"), ("2026-01-02T000000Z", json.dumps({"format": 99}))):
        (tmp_path / "report" / f"{name}.json").write_text(content)
    assert "What changed since the last report" not in _page(_full(tmp_path, land), tmp_path)


def test_a_report_of_another_span_is_passed_over_for_one_that_begins_the_same(tmp_path: Path, land: Any) -> None:
    full = _full(tmp_path, land)
    _page(full, tmp_path)
    other = Interval(SPAN.start_ns + DAY_NS, SPAN.end_ns)
    _page(replace(full, span=other, generated_at=dt.datetime(2026, 2, 2, tzinfo=dt.UTC)), tmp_path)
    words = _words(_page(replace(full, generated_at=dt.datetime(2026, 2, 3, tzinfo=dt.UTC)), tmp_path))
    assert "It was made 2026-02-01 00:00 over 2026-01-01 00:00 to 2026-01-03 00:00. Nothing:" in words
