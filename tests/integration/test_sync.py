"""A source of either kind that keeps running, followed on real servers: late, changed and removed events, an outage, a
backfill beside it, IoTDB away."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from assets_defs.following import Busy, alone, sweep, sync_pass
from assets_defs.line import Line, open_line
from cli.restate import reopen
from pipelines.plant import SourceSettings, load_plant
from pipelines.ports import NoRoom, Unreachable
from pipelines.sync import PassResult, ground
from pipelines.timeline import HOUR_NS, MINUTE_NS, Interval, iso, parse
from resources.iotdb import IoTDBStore
from tests.contract.stand_in import running
from tests.plants import SOURCE, Historian

START = parse("2026-01-02T20:00:00Z")
MORE = 'lateness = "2 h"\nsync = {{ lag = "60 s", overlap = "2 min", feed = {feed} }}\n'


@dataclass
class Followed:
    """A line, the plant behind it and the clock of both."""

    line: Line
    control: Callable[..., Any]
    shift_ns: int = 0

    @property
    def settings(self) -> SourceSettings:
        return self.line.plant.source[0]

    def now_ns(self) -> int:
        return time.time_ns() + self.shift_ns

    def to(self, moment_ns: int) -> None:
        by_ns = moment_ns - self.now_ns()
        self.control("clock", advance_s=by_ns / 1e9)
        self.shift_ns += by_ns

    def edit(self, kind: str, count: int, start_ns: int, end_ns: int) -> int:
        return len(self.control("edits", seed=7, count=count, kinds=[kind], start=iso(start_ns), end=iso(end_ns)))

    def follow(self) -> PassResult:
        found = sync_pass(self.line, self.settings, 120.0)
        assert not found.problems
        assert not found.left
        return found

    def differences(self, deep: bool = True) -> list[Any]:
        edges = [self.line.ledger.coverage(self.settings.name, group) for group in self.line.groups(self.settings)]
        span = Interval(self.settings.start, min(parts[0].end_ns for parts in edges))
        found = self.line.verify(self.settings, span, deep=deep)
        assert found.source_events > 0
        return [*found.drift, *found.unproved.items()]


def landed_files(line: Line) -> int:
    return sum(path.is_file() for path in line.landing.root.rglob("*"))


KINDS = ["pi_web_api", "wonderware"]
also_without_feed = pytest.mark.parametrize(
    "followed", [*KINDS, pytest.param("pi_web_api without its feed", marks=pytest.mark.slow)], indirect=True
)


@pytest.fixture(params=KINDS)
def followed(request: pytest.FixtureRequest, write_plant: Any) -> Iterator[Followed]:
    kind, _, without = request.param.partition(" ")
    given = MORE.format(feed="false" if without else "true")
    options = ("--points", "40", "--hours", "30", "--start", "2026-01-02T00:00:00Z", "--live", "--clock", iso(START))
    auth = ("--auth", "basic") if kind == "pi_web_api" else ()
    with running(*options, *auth, kind=kind) as where:
        place = "url" if kind == "pi_web_api" else "address"
        more = given if kind == "pi_web_api" else f"{given}tls = false\n"
        source = SOURCE.format(name="s1", kind=kind, place=place, where=where, more=more)
        source = source.replace("start = 2026-01-01T00:00:00Z", "start = 2026-01-02T20:00:00Z")

        def of_pi(path: str, **given: Any) -> Any:
            answer = httpx.post(f"{where.removesuffix('/piwebapi')}/_plant/{path}", json=given, timeout=60)
            assert answer.status_code == 200, answer.text
            return answer.json()["edits"] if path == "edits" else answer.json()

        control = of_pi if kind == "pi_web_api" else Historian(where).control
        with open_line(load_plant(write_plant(source))) as line:
            plant = Followed(line, control, START - time.time_ns())
            line.now_ns = plant.now_ns
            plant.to(START + 5 * MINUTE_NS)
            yield plant


@also_without_feed
def test_passes_follow_and_looks_find_what_comes_late(followed: Followed) -> None:
    first = followed.follow()
    assert first.up_to_ns == pytest.approx(followed.now_ns() - MINUTE_NS, abs=30e9)
    followed.to(START + 30 * MINUTE_NS)
    followed.follow()
    assert followed.edit("add", 20, START + MINUTE_NS, START + 25 * MINUTE_NS) > 10
    assert followed.differences(), "nothing was late at all: the test shows nothing"
    followed.to(START + 31 * MINUTE_NS)
    passes = [followed.follow()]
    followed.to(START + HOUR_NS + 5 * MINUTE_NS)
    passes += [followed.follow(), followed.follow()]
    assert sum(each.looks for each in passes) >= 2
    assert sum(each.differing for each in passes) > 5
    assert followed.differences() == []


def test_what_the_change_feed_tells_is_mended_before_a_look_is_due(followed: Followed) -> None:
    """Edits that change no count, too. A source without a feed finds them by its looks and sweeps."""
    if followed.settings.kind != "pi_web_api" or not followed.settings.sync.feed:
        pytest.skip("nothing is told")
    followed.follow()
    followed.to(START + HOUR_NS + 5 * MINUTE_NS)
    followed.follow()
    assert followed.follow().looks == 2  # the hour is one generation; now the feed alone says what happens to it
    edits = followed.edit("swap", 8, START, START + HOUR_NS) + followed.edit("remove", 3, START, START + HOUR_NS)
    assert edits > 5
    followed.to(START + HOUR_NS + 6 * MINUTE_NS)
    found = followed.follow()
    assert found.told > 5
    assert found.looks == 0
    assert followed.line.ledger.exclusions(followed.settings.name, None, Interval(START, START + HOUR_NS))
    followed.to(START + HOUR_NS + 12 * MINUTE_NS)
    assert followed.follow().differing > 5
    assert followed.differences() == []
    followed.to(START + 3 * HOUR_NS + 30 * MINUTE_NS)
    assert followed.follow().told == 0
    looks = followed.line.ledger.looks("s1", Interval(START, START + HOUR_NS))
    assert all(look.asked_ns < START + 2 * HOUR_NS for look in looks), "a look although nothing was told"


def test_what_is_late_by_seconds_is_found_by_the_next_pass(followed: Followed) -> None:
    followed.to(START + 30 * MINUTE_NS)
    followed.follow()
    assert followed.edit("add", 10, START + 28 * MINUTE_NS, START + 28 * MINUTE_NS + 50_000_000_000) > 0
    followed.to(START + 31 * MINUTE_NS)
    assert followed.follow().differing > 0
    assert followed.differences() == []


@also_without_feed
def test_days_settle_and_sweeps_find_edits_after_that(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, ledger = followed.settings, followed.line.ledger
    followed.follow()
    followed.to(parse("2026-01-03T03:00:00Z"))
    found = followed.follow()
    assert found.settled
    passes = [followed.follow().settled]  # what was a gap when the looks of the first pass were listed
    while passes[-1] and len(passes) < 5:  # a pass has its time, and a busy machine does less in it
        passes.append(followed.follow().settled)
    day = Interval(START, parse("2026-01-03T00:00:00Z"))
    proofs = ledger.proofs(settings.name, day)
    assert len(proofs) == len(followed.line.catalogue(settings))
    assert followed.follow().settled == []
    changed = followed.edit("change", 12, day.start_ns, day.end_ns)
    assert changed > 5
    named = sweep(followed.line, settings, 120.0)
    assert named.drift
    assert named.mended == 0
    assert followed.differences(), "a sweep that asks has changed something"
    mended = sweep(followed.line, settings, float("inf"), deep=True, mend=True)
    assert mended.drift
    assert not mended.problems
    assert followed.differences() == []
    before = landed_files(followed.line)
    assert mended.let_go == 0, "who reads since yesterday may hold what has just become old"
    monkeypatch.setattr(ground, "OLD_FOR_NS", -HOUR_NS)
    tidied = sweep(followed.line, settings, float("inf"), deep=True)
    assert tidied.let_go > 0
    assert landed_files(followed.line) == before - 2 * tidied.let_go
    assert followed.differences() == []
    assert followed.line.standings(settings, day)[0].gaps == ()


@also_without_feed
def test_an_outage_is_caught_up_newest_first_and_a_backfill_beside_it_waits(followed: Followed) -> None:
    settings = followed.settings
    followed.follow()
    followed.to(START + 3 * HOUR_NS + 20 * MINUTE_NS)
    seen = []
    found = sync_pass(followed.line, settings, 120.0, seen.append)
    assert not found.problems
    first_round = [each.slice.span for each in seen[:2]]
    assert {span.start_ns for span in first_round} == {START + 3 * HOUR_NS}
    windows = followed.line.windows(settings)
    pairs = [(group, window) for group in followed.line.groups(settings) for window in windows]
    results = followed.line.run_pairs(settings, pairs)
    assert all(each.proved for each in results)
    assert followed.differences() == []


def test_restated_history_is_filled_again_by_the_next_pass(followed: Followed) -> None:
    settings = followed.settings
    followed.to(START + 50 * MINUTE_NS)
    followed.follow()
    [window] = followed.line.windows(settings, Interval(START, START + 1))
    part = Interval(START + 10 * MINUTE_NS, START + 20 * MINUTE_NS)
    reopen(followed.line, settings, "g000", window, part, False)
    followed.follow()
    assert followed.differences() == []


def test_one_sync_of_a_source_at_a_time(followed: Followed) -> None:
    with (
        alone(followed.line, followed.settings),
        pytest.raises(Busy, match="is running already"),
        alone(followed.line, followed.settings),
    ):
        pass


def test_with_iotdb_away_the_newest_is_landed_and_written_later(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.follow()
    followed.to(START + 10 * MINUTE_NS)

    def away(*_: object) -> None:
        raise Unreachable("IoTDB is away")

    with monkeypatch.context() as patch:
        patch.setattr(IoTDBStore, "write", away)
        found = sync_pass(followed.line, followed.settings, 60.0)
        assert found.waiting == 2
        assert "wait for IoTDB" in found.problems[0]
        followed.to(START + 12 * MINUTE_NS)
        assert sync_pass(followed.line, followed.settings, 60.0).waiting == 2
    followed.to(START + 13 * MINUTE_NS)
    assert followed.follow().waiting == 0
    assert followed.differences() == []


def test_points_that_change_type_unit_or_digital_set_keep_their_history(followed: Followed) -> None:
    """What was recorded before is shown under the new type; values that it cannot hold turn bad at the source, and a
    sweep does not take that over."""
    if followed.settings.kind != "pi_web_api":
        pytest.skip("a tag of a Historian keeps its type for life")
    line, settings = followed.line, followed.settings
    followed.follow()
    followed.to(parse("2026-01-02T23:30:00Z"))
    followed.follow()
    number, text, valve = "UNIT1.TEMP.TI002.PV", "UNIT1.BATCH.ID009.TXT", "UNIT1.VALVE.XV007.ST"
    followed.control("points", op="retype", name=number, pi_type="String", unit="K")
    followed.control("points", op="retype", name=text, pi_type="Float32")
    followed.control("points", op="retype", name=valve, digital_set="Modes")
    followed.to(parse("2026-01-03T03:00:00Z"))
    followed.follow()  # the catalogue does not know yet
    assert line.discover(settings).changed == 3
    followed.to(parse("2026-01-03T06:00:00Z"))
    for _ in range(2):
        followed.follow()
    kept = {
        each.point: each.reason for each in line.ledger.exclusions("s1", None, Interval(START, settings.end or 2**62))
    }
    assert kept.keys() == {text}, "the number is read again as text, the digital states stay"
    assert "of 19 usable events" in kept[text]
    assert "ferry restate --accept-loss" in kept[text]
    assert followed.follow().looks == 0, "what is not believed is asked for again and again"
    swept = sweep(line, settings, float("inf"), deep=True, mend=True)
    assert swept.drift
    assert swept.mended == 0
    assert {point for point, _ in followed.differences()} == {text}
    day = line.windows(settings, Interval(START, START + 1))[0]
    [group] = [label for label, points in line.by_group(settings).items() if any(each.name == text for each in points)]
    reopen(line, settings, group, day, Interval(START, day.end_ns), True)
    followed.follow()
    assert followed.differences() == []


def test_a_full_disk_stops_the_pass_with_one_clear_error_and_the_next_goes_on(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.follow()
    followed.to(START + 10 * MINUTE_NS)
    held = {path for path in followed.line.landing.root.rglob("*") if path.is_file()}

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoRoom, match="free some space"):
            sync_pass(followed.line, followed.settings, 60.0)
    assert {path for path in followed.line.landing.root.rglob("*") if path.is_file()} == held
    followed.to(START + 12 * MINUTE_NS)
    followed.follow()
    assert followed.differences() == []
