"""The events beside a window: read from the window outwards, and no further than needed."""

from __future__ import annotations

from pathlib import Path

from pipelines.landing import Piece
from pipelines.marts.events import Landed, find_neighbours, load, opened
from pipelines.points import Point
from pipelines.timeline import DAY_NS, Interval, parse
from tests.unit.pipelines.marts.conftest import Land

WINDOW = Interval(parse("2026-01-10"), parse("2026-01-11"))
POINTS = [Point(name, name, "number") for name in ("A", "B")]


def _day(number: int) -> Interval:
    start = WINDOW.start_ns + number * DAY_NS
    return Interval(start, start + DAY_NS)


def test_files_farther_out_are_not_opened_once_every_point_has_its_event(land: Land, tmp_path: Path) -> None:
    inside = land([("A", "2026-01-10T12:00:00Z", 1.0, 192)], WINDOW)
    near = land([("A", "2026-01-09T12:00:00Z", 2.0, 192), ("A", "2026-01-09T13:00:00Z", 3.0, 192)], _day(-1))
    farther = land([("B", "2026-01-08T12:00:00Z", 4.0, 192), ("A", "2026-01-08T12:00:00Z", 9.0, 192)], _day(-2))
    gone = [Piece(tmp_path / "gone.parquet", _day(number)) for number in (-3, 2)]
    later = land([(name, "2026-01-11T06:00:00Z", 5.0, 192) for name in ("A", "B")], _day(1))
    landed = [Landed(POINTS, inside, [*gone, *farther, *near], [*gone, *later])]
    with opened(64 << 20, tmp_path) as database:
        load(database, landed, WINDOW)
        find_neighbours(database, landed, WINDOW)
        found = database.execute("SELECT pt, value FROM events WHERE NOT inside ORDER BY t, pt").fetchall()
    assert found == [(1, 4.0), (0, 3.0), (0, 5.0), (1, 5.0)]
