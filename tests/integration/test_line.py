"""The whole line on real servers: proved to the last event, also after edits, vanished history and deleted points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from assets_defs.line import Line, open_line
from pipelines import samples
from pipelines.plant import load_plant
from pipelines.ports import SliceId, Stop, Unreachable
from pipelines.timeline import Interval, parse
from pipelines.transfer import PairResult
from tests.contract.stand_in import running

DAYS = Interval(parse("2026-01-01"), parse("2026-01-03"))


@pytest.fixture
def url() -> Iterator[str]:
    with running("--points", "40", "--hours", "48", "--auth", "basic") as address:
        yield address


@pytest.fixture
def line(plant_file: Callable[..., Path], url: str) -> Iterator[Line]:
    path = plant_file(url, end="2026-01-03", more="[limits]\nslice_events = 20000")
    with open_line(load_plant(path)) as opened:
        yield opened


def backfill(line: Line) -> list[PairResult]:
    settings = line.plant.source[0]
    line.discover(settings)
    return line.run_pairs(settings, [(g, w) for w in line.windows(settings, DAYS) for g in line.groups(settings)])


def restate(line: Line, accept: bool = False) -> None:
    settings = line.plant.source[0]
    for group in line.groups(settings):
        if accept:
            line.ledger.accept_loss(settings.name, group, DAYS, "a test")
        line.ledger.withdraw(SliceId(settings.name, group, DAYS), "restated")


def control(url: str, path: str, body: object = None) -> httpx.Response:
    root = url.removesuffix("/piwebapi")
    answer = httpx.post(f"{root}/_plant/{path}", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer


def truth(url: str) -> pa.Table:
    answer = httpx.get(
        url.removesuffix("/piwebapi") + "/_plant/truth",
        params={"start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z"},
        timeout=60,
    )
    return samples.ordered(pa.ipc.open_stream(answer.content).read_all().cast(samples.SCHEMA))


def stored(line: Line) -> pa.Table:
    settings = line.plant.source[0]
    ids = sorted(point.id for point in line.ledger.known_points(settings.name))
    tables = list(line.store.read(settings.name, ids, DAYS))
    return samples.ordered(pa.concat_tables(tables).unify_dictionaries())


def assert_same(one: pa.Table, two: pa.Table) -> None:
    assert len(one) == len(two)
    assert (
        samples.tally(one)
        .select(["point", "events", "digest"])
        .equals(samples.tally(two).select(["point", "events", "digest"]))
    )
    assert one.select(["point", "time", "tie", "text", "code"]).equals(
        two.select(["point", "time", "tie", "text", "code"])
    )


def test_every_event_of_every_kind_is_stored_and_proved(line: Line, url: str) -> None:
    results = backfill(line)
    assert [r.problems for r in results if r.problems] == []
    assert {point: why for r in results for point, why in r.unproved.items()} == {}
    expected = truth(url)
    assert len(expected) > 30_000
    assert_same(stored(line), expected)
    settings = line.plant.source[0]
    proofs = line.ledger.proofs(settings.name, DAYS)
    assert set(proofs["proof"].to_pylist()) == {"counted", "deep"}
    assert set(proofs["origin"].to_pylist()) == {"independent"}
    assert sum(proofs["events"].to_pylist()) == len(expected)
    again = backfill(line)
    assert sum(len(r.slices) for r in again) == 0
    for deep in (False, True):
        found = line.verify(settings, DAYS, deep=deep).as_json("pi1")
        assert found["drift"] == []
        assert found["unproved_points"] == 0
        assert found["source_events"] == found["landed_events"] == found["stored_events"] == len(expected)


def test_edits_are_reported_point_by_point_and_mended(line: Line, url: str) -> None:
    backfill(line)
    body = {"seed": 7, "start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z", "count": 40}
    answer = control(url, "edits", body).json()
    told = answer["edits"] if isinstance(answer, dict) else answer
    names = {(samples_id(each["point"]), each["time"][:10]) for each in told}
    settings = line.plant.source[0]
    deep = line.verify(settings, DAYS, deep=True)
    assert set(deep.drift) == names
    counting = {(samples_id(e["point"]), e["time"][:10]) for e in told if e["kind"] in ("add", "remove") or sums(e)}
    assert counting & names <= set(line.verify(settings, DAYS, deep=False).drift) | unbalanced(told)
    restate(line, accept=True)
    results = backfill(line)
    assert [r.problems for r in results if r.problems] == []
    assert_same(stored(line), truth(url))
    clean = line.verify(settings, DAYS, deep=True)
    assert clean.drift == {}
    assert clean.unproved == {}


def samples_id(name: str) -> str:
    from pipelines.points import point_id

    return point_id(name)


def sums(edit: dict) -> bool:
    """Whether the edit changed the sum of a point's good numbers."""
    sides = (edit.get("before") or {}, edit.get("after") or {})
    numbers = all(isinstance(side.get("Value"), float) and side.get("Good") for side in sides)
    return edit["kind"] == "change" and numbers


def unbalanced(told: list[dict]) -> set[tuple[str, str]]:
    """Points and days whose adds and removes cancel out in number: counting may not see those."""
    balance: dict[tuple[str, str], int] = {}
    for each in told:
        key = (samples_id(each["point"]), each["time"][:10])
        balance[key] = balance.get(key, 0) + {"add": 1, "remove": -1}.get(each["kind"], 0)
    return {key for key, value in balance.items() if value == 0} - {
        (samples_id(e["point"]), e["time"][:10]) for e in told if sums(e)
    }


def test_a_source_that_suddenly_shows_nothing_is_not_believed(line: Line, url: str) -> None:
    backfill(line)
    before = stored(line)
    control(url, "hide", {"start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z"})
    restate(line)
    results = backfill(line)
    assert all("quarantined" in r.problems[0] for r in results)
    assert_same(stored(line), before)


def test_a_point_deleted_at_the_source_is_named_and_holds_nobody_back(line: Line, url: str) -> None:
    settings = line.plant.source[0]
    line.discover(settings)
    gone = line.catalogue(settings)[-1]
    control(url, "points", {"op": "delete", "name": gone.name})
    pairs = [(g, w) for w in line.windows(settings, DAYS) for g in line.groups(settings)]
    results = line.run_pairs(settings, pairs)
    assert [r.problems for r in results if r.problems] == []
    assert {point for r in results for point in r.unproved} == {gone.id}
    assert len(truth(url)) == len(stored(line))


def test_a_wrong_password_is_one_clear_error(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERRY_TEST_PI", "not-it-4711")
    with pytest.raises(Stop) as caught:
        line.discover(line.plant.source[0])
    assert "pi1" in str(caught.value)
    assert "not-it-4711" not in str(caught.value)


def test_an_unreachable_source_is_one_clear_error(plant_file: Callable[..., Path]) -> None:
    path = plant_file("http://127.0.0.1:9/piwebapi")
    with open_line(load_plant(path)) as opened, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        opened.discover(opened.plant.source[0])


def test_point_groups_that_changed_are_refused(plant_file: Callable[..., Path], url: str) -> None:
    """4 → 2 said that nothing was to do, and half of the events were missing in the exports; 4 → 8 doubled rows."""
    path = plant_file(url, end="2026-01-03", more="[limits]\nslice_events = 20000")
    with open_line(load_plant(path)) as line:
        line.run_id = "a run"
        backfill(line)
        before = line.plant.source[0].point_groups
    text = path.read_text(encoding="utf-8")
    for groups in (1, 2 * before, 7):
        changed = path.with_name(f"{groups}.toml")
        changed.write_text(text.replace(f"point_groups = {before}", f"point_groups = {groups}"), encoding="utf-8")
        with open_line(load_plant(changed)) as line:
            assert line.plant.source[0].point_groups == groups
            with pytest.raises(Stop, match=f"Set point_groups = {before} again"):
                line.groups(line.plant.source[0])
