"""Commands while clocks differ: nothing is settled, expired or fresh because one of them is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from assets_defs.following import sync_pass
from pipelines.plant import load_plant
from pipelines.timeline import DAY_NS, HOUR_NS, MINUTE_NS, Interval, iso
from tests.memory import MemorySource
from tests.unit.cli.conftest import DAY, POINTS, Ferry, events

SPAN = ("--start", iso(DAY.start_ns), "--end", iso(DAY.end_ns))


class ClockedSource(MemorySource):
    """With a clock that is `ahead_ns` of this host's."""

    ahead_ns = 0

    async def time_ns(self) -> int | None:
        return time.time_ns() + self.ahead_ns


@pytest.fixture
def clocked(ferry: Ferry) -> ClockedSource:
    source = ClockedSource("pi1", POINTS, events())
    ferry.outside.the_source = source
    return source


def open_ended(ferry: Ferry, more: str = "") -> None:
    text = ferry.plant_file.read_text(encoding="utf-8").replace("end = 2026-01-02T00:00:00Z\n", "")
    ferry.plant_file.write_text(text + more, encoding="utf-8")


def follow(ferry: Ferry) -> None:
    """A pass, without what Dagster is told of it."""
    line = ferry.line(load_plant(ferry.plant_file))
    done = sync_pass(line, line.plant.source[0], 60.0)
    assert not done.problems


def covered_future(ferry: Ferry, by_ns: int = 3 * DAY_NS) -> int:
    """All is covered up to a time that has not come, as a clock that ran ahead has it."""
    up_to_ns = time.time_ns() + by_ns
    for group in ("g000", "g001"):
        ferry.ledger.covering["pi1", group] = [Interval(DAY.start_ns, up_to_ns)]
    ferry.ledger.hand_over("pi1", DAY.start_ns)
    return up_to_ns


@pytest.mark.parametrize("command", [("discover",), ("sync",), ("backfill", *SPAN), ("sweep",)])
@pytest.mark.parametrize("ahead_ns", [-3 * DAY_NS, HOUR_NS])
def test_clocks_apart_stop_what_moves(
    ferry: Ferry, clocked: ClockedSource, command: tuple[str, ...], ahead_ns: int
) -> None:
    assert ferry("discover").code == 0
    before = (len(ferry.ledger.slices), dict(ferry.ledger.covering), ferry.ledger.forgotten, dict(ferry.ledger.handed))
    clocked.ahead_ns = ahead_ns
    answer = ferry(*command)
    assert answer.code == 2, answer.err
    assert "the clock of source pi1 shows" in answer.err
    assert "that of source pi1 stands alone" in answer.err, "the ledger's is right, and on another host"
    after = (len(ferry.ledger.slices), dict(ferry.ledger.covering), ferry.ledger.forgotten, dict(ferry.ledger.handed))
    assert after == before


def test_the_ledger_stops_a_host_whose_source_has_no_clock(ferry: Ferry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ferry("discover").code == 0
    monkeypatch.setattr(ferry.ledger, "now_ns", lambda: time.time_ns() - 3 * DAY_NS)
    answer = ferry("sync")
    assert answer.code == 2
    assert "the clock of the ledger shows" in answer.err
    assert "3 d behind" in answer.err


def test_what_is_later_than_the_sources_own_now_is_open(ferry: Ferry, clocked: ClockedSource) -> None:
    """Also where the plant file allows its clock to be behind."""
    open_ended(ferry, '[limits]\nclock_apart = "9 d"\n')
    clocked.ahead_ns = -3 * DAY_NS
    assert ferry("discover").code == 0
    ferry.ledger.handed["pi1"] = time.time_ns() - 4 * DAY_NS
    follow(ferry)
    for group in ("g000", "g001"):
        assert ferry.ledger.coverage("pi1", group)[-1].end_ns < time.time_ns() - 3 * DAY_NS


def test_a_watermark_in_the_future_is_wrong_and_not_fresh(ferry: Ferry, clocked: ClockedSource) -> None:
    open_ended(ferry)
    assert ferry("discover").code == 0
    up_to_ns = covered_future(ferry)
    answer = ferry("status", "--json")
    assert answer.code == 1
    [source] = answer.json["sources"]
    assert source["lag_s"] is None
    assert [each["up_to"] for each in source["ahead"]] == [iso(up_to_ns)] * 2
    assert "which has not come yet" in answer.err
    told = ferry("metrics").out
    assert 'ferry_lag_seconds{source="pi1"} +Inf' in told
    assert 'ferry_group_lag_seconds{group="g000",source="pi1"} +Inf' in told


def test_the_next_pass_withdraws_what_has_not_come_yet(ferry: Ferry, clocked: ClockedSource) -> None:
    open_ended(ferry)
    assert ferry("discover").code == 0
    covered_future(ferry)
    follow(ferry)
    for group in ("g000", "g001"):
        assert ferry.ledger.coverage("pi1", group)[-1].end_ns <= time.time_ns()
    assert ferry("status", "--json").json["sources"][0]["lag_s"] >= 0


def test_a_little_ahead_is_no_lag_at_all(ferry: Ferry, clocked: ClockedSource) -> None:
    open_ended(ferry)
    assert ferry("discover").code == 0
    covered_future(ferry, MINUTE_NS)
    assert ferry("status", "--json").json["sources"][0]["lag_s"] == 0


@pytest.mark.parametrize("command", [("verify",), ("verify", "--deep"), ("status",), ("plan", *SPAN), ("metrics",)])
def test_a_look_records_no_expiry(ferry: Ferry, command: tuple[str, ...]) -> None:
    assert ferry("discover").code == 0
    assert ferry("backfill", *SPAN).code == 0
    text = ferry.plant_file.read_text(encoding="utf-8")
    ferry.plant_file.write_text(text + '[retention]\nraw = "40 d"\n', encoding="utf-8")
    ferry(*command)
    assert ferry.ledger.forgotten == []


def test_an_expired_span_is_never_called_counted(ferry: Ferry) -> None:
    assert ferry("discover").code == 0
    assert ferry("backfill", *SPAN).code == 0
    ferry.ledger.forgotten = [DAY]
    answer = ferry("verify", *SPAN, "--json")
    assert answer.code == 1
    assert answer.json["proof"] == {"counted": 0, "deep": 0}
    assert answer.json["unproved_points"] == len(POINTS)
    assert "expired: nothing of it was compared" in answer.err


def test_a_store_that_keeps_longer_takes_an_expiry_back(ferry: Ferry, caplog: pytest.LogCaptureFixture) -> None:
    assert ferry("discover").code == 0
    assert ferry("backfill", *SPAN).code == 0
    ferry.ledger.forgotten = [DAY]
    pulled = ferry.source.pulls
    assert ferry("backfill", *SPAN).code == 0
    assert ferry.ledger.forgotten == []
    assert ferry.source.pulls > pulled, "what was taken back is proved again"
    assert "taken back" in caplog.text
    assert ferry("verify", *SPAN, "--json").json["proof"]["counted"] == len(POINTS)


class TellingStore:
    """How IoTDB tells what it keeps, for a MemoryStore."""

    where = "IoTDB"

    def __init__(self, keeps_ns: int | None, now_ns: Callable[[], int | None]) -> None:
        self.keeps_ns, self.now_ns = lambda: keeps_ns, now_ns


EXPIRY = {
    "confirmed": (40 * DAY_NS, time.time_ns, 0, True),
    "another TTL": (90 * DAY_NS, time.time_ns, 0, False),
    "it does not tell": (40 * DAY_NS, lambda: None, 0, False),
    "its clock is wrong": (40 * DAY_NS, lambda: time.time_ns() + 9 * DAY_NS, 2, False),
}


@pytest.mark.parametrize(("keeps_ns", "now_ns", "code", "recorded"), EXPIRY.values(), ids=EXPIRY)
def test_an_expiry_is_a_fact_when_the_store_says_so(
    ferry: Ferry, keeps_ns: int, now_ns: Callable[[], int | None], code: int, recorded: bool
) -> None:
    ferry.store.__dict__.update(vars(TellingStore(keeps_ns, now_ns)), where="IoTDB")
    text = ferry.plant_file.read_text(encoding="utf-8")
    ferry.plant_file.write_text(text + '[retention]\nraw = "40 d"\n', encoding="utf-8")
    assert ferry("discover").code == 0
    answer = ferry("backfill", *SPAN)
    assert answer.code == code, answer.err
    assert bool(ferry.ledger.forgotten) == recorded
    if code:
        assert "the clock of IoTDB shows" in answer.err
    else:
        assert "landed only" in answer.out
        assert not ferry.store.rows
