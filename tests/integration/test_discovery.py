"""What a source no longer lists, on real servers: hidden, deleted, numbered anew; and a name that is very long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assets_defs.discovery import missing_told
from assets_defs.line import Line, open_line
from assets_defs.marts_line import write_exports
from pipelines.plant import load_plant
from pipelines.ports import Stop
from tests.contract.stand_in import running
from tests.integration.test_line import DAYS, assert_same, backfill, control, restate, stored, truth

POINTS = 12


@pytest.fixture
def url() -> Iterator[str]:
    with running("--points", str(POINTS), "--hours", "12", "--every", "600", "--auth", "basic") as address:
        yield address


@pytest.fixture
def line(plant_file: Callable[..., Path], url: str) -> Iterator[Line]:
    with open_line(load_plant(plant_file(url, end="2026-01-03"))) as opened:
        yield opened


def test_points_that_the_login_no_longer_sees_are_missing_and_not_gone(line: Line, url: str) -> None:
    backfill(line)
    settings = line.plant.source[0]
    hidden = line.catalogue(settings)[3:6]
    for point in hidden:
        control(url, "points", {"op": "conceal", "name": point.name})
    control(url, "points", {"op": "add", "name": "NEW.PV", "interval_s": 600})
    found = line.discover(settings)
    assert set(found.missing) == {point.name for point in hidden}
    assert found.newcomers == 1
    assert "3 points are no longer listed by source 'pi1'" in missing_told(line, settings)
    assert hidden[0].name in missing_told(line, settings)
    assert {point.id for point in hidden} <= {point.id for point in line.catalogue(settings)}
    verified = line.verify(settings, DAYS, deep=False)
    assert {point.id for point in hidden} <= verified.unproved.keys()
    restate(line)
    kept = len(stored(line))
    assert {each for result in backfill(line) for each in result.unproved} == {point.id for point in hidden}
    assert len(stored(line)) > kept, "a new point is moved all the same"
    for point in hidden:
        control(url, "points", {"op": "reveal", "name": point.name})
    assert [result.unproved for result in backfill(line) if result.unproved] == []
    assert missing_told(line, settings) == ""
    assert_same(stored(line), truth(url))


def test_a_point_that_is_gone_at_the_source_is_verified_and_exported(line: Line, url: str, tmp_path: Path) -> None:
    backfill(line)
    settings = line.plant.source[0]
    before = stored(line)
    gone = line.catalogue(settings)[7]
    control(url, "points", {"op": "delete", "name": gone.name})
    assert line.discover(settings).gone == (gone.name,)
    restate(line)
    assert [result.unproved for result in backfill(line) if result.unproved or result.problems] == []
    assert_same(stored(line), before)
    for deep in (False, True):
        found = line.verify(settings, DAYS, deep=deep)
        assert (found.points, found.unproved, found.drift) == (POINTS, {}, {})
        assert found.gone.keys() == {gone.id}
        assert found.landed_events == found.stored_events == len(before) == found.source_events + found.gone_events
    assert found.gone_events > 0
    assert line.evidence(settings, DAYS).proved_events == len(before)
    assert write_exports(line, settings, DAYS, destination=tmp_path / "out").rows("samples") == len(before)
    [lost] = line.store.read(settings.name, [gone.id], DAYS)
    line.store.delete(settings.name, lost.slice(1, 1))
    assert line.verify(settings, DAYS, deep=False).unproved.keys() == {gone.id}


def test_a_server_that_was_restored_is_recognised(line: Line, url: str) -> None:
    backfill(line)
    settings = line.plant.source[0]
    ids = {point.id for point in line.catalogue(settings)}
    control(url, "server", {"moved": "to a new machine"})
    with pytest.raises(Stop, match=r"12 of 12 points under their names.*--same-server") as caught:
        line.discover(settings)
    assert "Of 5 points that were looked at, 5 have their newest stored event there, too" in str(caught.value)
    assert {point.id for point in line.catalogue(settings)} == ids
    assert "12 points are no longer listed" in missing_told(line, settings)
    found = line.discover(settings, "same_server")
    assert (found.points, found.newcomers, found.missing) == (POINTS, 0, ())
    assert {point.id for point in line.catalogue(settings)} == ids
    assert missing_told(line, settings) == ""
    restate(line)
    assert [result.unproved for result in backfill(line) if result.unproved or result.problems] == []
    assert_same(stored(line), truth(url))


def test_a_name_of_a_thousand_characters_stops_nobody(line: Line, url: str) -> None:
    """Its id is percent-encoded: 9,000 characters, and a B-tree's entry has at most 2,704 bytes."""
    names = ["".join(chr(0x4E00 + (place * step) % 20_000) for place in range(1_000)) for step in (7, 11)]
    for name in names:
        control(url, "points", {"op": "add", "name": name, "interval_s": 600})
    assert [result.unproved for result in backfill(line) if result.unproved or result.problems] == []
    settings = line.plant.source[0]
    assert set(names) <= {point.name for point in line.catalogue(settings)}
    assert_same(stored(line), truth(url))
    found = line.verify(settings, DAYS, deep=True)
    assert (found.points, found.unproved, found.drift) == (POINTS + 2, {}, {})
