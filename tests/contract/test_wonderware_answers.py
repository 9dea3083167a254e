"""What real Historians answer that a plain one does not, by both drivers: odd tags, engines that fail, poison."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines import reconcile
from pipelines.plant import SourceSettings
from pipelines.points import Point, point_id
from pipelines.ports import Retry, Stop, Unreachable
from pipelines.timeline import HOUR_NS, Interval, iso, parse
from resources.wonderware import WonderwareSource, browser
from resources.wonderware.driver import DRIVERS, missing_driver
from resources.wonderware.server import Patience
from simulators.tds import Server, SqlError
from simulators.tds.browser import Browser
from simulators.wonderware import Historian, Plant, Settings, truth

T = TypeVar("T")
BEGIN = parse("2026-01-01T00:00:00Z")
SPAN = Interval(BEGIN, BEGIN + HOUR_NS)


@dataclass
class Answers:
    """A Historian in this process, and the source that reads it."""

    historian: Historian
    address: str
    driver: str
    options: dict[str, Any] = field(default_factory=dict)

    def order(self, operation: str, **given: Any) -> list[dict[str, Any]]:
        _, table = self.historian.control.run(operation, json.dumps(given))
        return [json.loads(row) for row in table.column(0).to_pylist()]

    def run(self, work: Callable[[WonderwareSource], Awaitable[T]], **settings: Any) -> T:
        async def main() -> T:
            source = WonderwareSource.from_settings(
                SourceSettings(
                    name="w1", kind="wonderware", address=self.address, start="2026-01-01T00:00:00Z", tls=False,
                    auth={"kind": "basic", "username": "ferry", "password_env": "FERRY_TEST_SQL"},
                    requests_per_s=10_000, **settings,
                ),
                connect=DRIVERS[self.driver], patience=Patience(tries=3, first_wait_s=0.001, longest_wait_s=0.002),
            )  # fmt: skip
            try:
                return await work(source)
            finally:
                await source.close()

        return asyncio.run(main())


@pytest.fixture(params=["mssql-python", "pymssql"])
def answers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    if request.param == "mssql-python" and missing_driver():
        pytest.skip(missing_driver())
    monkeypatch.setenv("FERRY_TEST_SQL", "ferry-demo")
    historian = Historian(Plant(Settings(points=50, hours=1)))
    server = Server(historian)
    server.start()
    try:
        yield Answers(historian, f"127.0.0.1:{server.port}", request.param)
    finally:
        server.stop()
        historian.outside.close()


def test_whose_a_tag_is_says_its_driver_and_not_its_name(answers: Answers) -> None:
    answers.order("tags", op="add", name="SYSPUMP.FLOW", acquisition=2)
    answers.order("tags", op="add", name="Historian.Own", acquisition=3)

    async def found(source: WonderwareSource) -> tuple[set[str], dict[str, Any]]:
        names = {point.name for point in await source.discover()}
        return names, {why.split(":")[0]: set(tags) for why, tags in source.left_out.items()}

    names, left_out = answers.run(found)
    assert {"SYSPUMP.FLOW", "System2.Pump.FI041.PV"} <= names
    assert not {"SysTimeSec", "SysPulse", "Historian.Own"} & names
    [own] = [tags for why, tags in left_out.items() if "system driver" in why]
    assert own == {"SysTimeSec", "SysPulse", "SysPerfCPUTotal", "SysStatusText", "Historian.Own"}
    names, left_out = answers.run(found, points=["Sys*", "*.FLOW"])
    assert names == {"SYSPUMP.FLOW", "System2.Pump.FI041.PV"} | own - {"Historian.Own"}
    assert left_out == {"events": {"SysStatusEvent"}}


def test_tags_of_types_that_are_not_read_are_named(answers: Answers) -> None:
    answers.order("tags", op="add", name="Odd", tag_type=9)

    async def left_out(source: WonderwareSource) -> dict[str, Any]:
        points = await source.discover()
        assert not {"Odd", "UNIT1.RECIPE.043"} & {point.name for point in points}
        return {why.split(":")[0]: set(tags) for why, tags in source.left_out.items()}

    found = answers.run(left_out)
    assert found["events"] == {"SysStatusEvent"}
    assert found["structures"] == {"UNIT1.RECIPE.043"}
    assert found["summaries"] == {"UNIT1.TEMP.TI002.PV.Hourly", "UNIT1.VALVE.XV003.ST.Shifts"}
    assert found["of type 9, which is not known here"] == {"Odd"}
    assert "structures" not in answers.run(left_out, exclude=["*RECIPE*"])


async def pulled(source: WonderwareSource, points: Sequence[Point]) -> tuple[set[str], dict[str, str]]:
    """The points whose events came, and those that failed."""
    there: set[str] = set()
    failed: dict[str, str] = {}
    async for batch in source.pull(points, SPAN, 100_000):
        there.update(batch.points)
        failed |= batch.failed
    return there, failed


@pytest.mark.parametrize("number", [7_303, 7_320, 7_330, 7_399, 7_301, 40_001])
def test_an_engine_that_is_dead_is_nobodys_fault(answers: Answers, number: int) -> None:
    async def asked(source: WonderwareSource) -> None:
        points = await source.discover()
        answers.order("faults", kind="error", number=number, times=-1)
        answers.order("stats_reset")
        for question in (pulled(source, points), source.tally(points, SPAN), source.journal(SPAN)):
            with pytest.raises(Unreachable, match="retrieval engine answers nothing"):
                await question

    answers.run(asked, concurrency=1)
    assert answers.order("stats")[0]["history_statements"] == 3 * (1 + 3), (
        "once, and the engine as often as patience says"
    )


def test_an_engine_that_comes_back_answers_for_every_tag(answers: Answers) -> None:
    async def asked(source: WonderwareSource) -> None:
        points = await source.discover()
        answers.order("faults", kind="error", number=7_330, times=3)
        there, failed = await pulled(source, points)
        assert (there, failed) == ({point.id for point in points}, {})
        answers.order("faults", kind="error", number=7_303, times=3)
        counted = await source.tally(points, SPAN)
        assert not counted.failed and len(counted.table) == len(points)

    answers.run(asked)


@pytest.mark.parametrize("number", [7_320, 7_399, 8_115, 40_001])
def test_one_tag_that_the_engine_refuses_stops_no_other(answers: Answers, number: int) -> None:
    """Blamed alone, and only when the engine has answered something else meanwhile."""

    async def asked(source: WonderwareSource) -> None:
        points = await source.discover()
        bad = points[17]
        answers.order("faults", kind="error", number=number, times=-1, tag=bad.name)
        there, failed = await pulled(source, points)
        assert failed.keys() == {bad.id} and "refuses this tag" in failed[bad.id]
        assert there == {point.id for point in points} - {bad.id}
        counted = await source.tally(points, SPAN)
        assert counted.failed.keys() == {bad.id}

    answers.run(asked)


def test_a_discrete_whose_states_were_changed_differs_in_its_sum(answers: Answers) -> None:
    """Same count, and neither text nor number is read again for it."""
    name = "UNIT1.VALVE.XV003.ST"
    events = truth(answers.historian.plant, SPAN.start_ns, SPAN.end_ns, [name])
    off = events.filter(pc.and_(pc.equal(events["code"], 0), pc.equal(events["quality"], 192)))
    assert len(off)

    async def drifted(source: WonderwareSource) -> list[str]:
        [point] = [each for each in await source.discover() if each.name == name]
        said = await source.tally([point], SPAN)
        return [each.what for each in reconcile.against_source(reconcile.deep_rows([events]), events, said, [point.id])]

    assert answers.run(drifted) == []
    edit = {"point": name, "op": "change", "time": iso(off["time"].cast("int64")[0].as_py()), "value": 1}
    answers.order("edits", edits=[edit])
    assert answers.run(drifted) == ["total"]


def test_a_named_instance_is_read_at_the_port_that_is_told(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Browser({"FERRY": int(answers.address.split(":")[1])})
    monkeypatch.setattr(browser, "PORT", told.port)
    answers.address = "127.0.0.1\\ferry"
    try:
        assert answers.run(lambda source: source.time_ns())
    finally:
        told.stop()


CJK = "".join(chr(0x4E00 + 7 * place) for place in range(500))
LONG = "x" * 3_999
POISON = {
    "a lone high": "a\ud800b", "a lone low": "\udc00b", "a half at the end": "end\ud83d", "two halves": "\udc00\ud800",
    "too long": "y" * 4_001,
}  # fmt: skip
ODD = ["nul\0in", "\0", "\x01\x7f\x1b[31m\r\n\t", "😀", "\ufffe\uffff?\ufffd", CJK, LONG, LONG + "é", "", " "]


def test_a_text_that_cannot_be_kept_stops_no_other_point(answers: Answers) -> None:
    """It is named with its bytes; drivers put a ? or U+FFFD in its place, and say nothing."""
    names = [*POISON, "sound"]
    for place, name in enumerate(names):
        answers.order("tags", op="add", name=name, kind="string", interval_s=0)
        texts = [*ODD, POISON.get(name, "last")]
        answers.order(
            "edits",
            edits=[
                {"point": name, "op": "add", "time": f"2026-01-01T00:{each:02d}:0{place}Z", "value": text}
                for each, text in enumerate(texts, 10)
            ],
        )

    async def read(source: WonderwareSource) -> None:
        points = await source.discover()
        batches = [batch async for batch in source.pull(points, SPAN, 100_000)]
        failed = {name: why for batch in batches for name, why in batch.failed.items()}
        assert failed.keys() == {point_id(name) for name in POISON}
        assert {each for batch in batches for each in batch.points} == {point.id for point in points} - failed.keys()
        assert "2026-01-01T00:20:00Z cannot be kept (no Unicode text): UTF-16 610000d86200" in failed["a%20lone%20high"]
        assert "cannot be kept (of more than 4,000 characters): UTF-16 7900" in failed["too%20long"]
        events = pa.concat_tables(batch.samples for batch in batches)
        sound = events.filter(pc.equal(events["point"].cast(pa.string()), "sound"))
        assert sound["text"].to_pylist() == [*ODD, "last"]
        early = Interval(SPAN.start_ns, parse("2026-01-01T00:20:00Z"))  # as far as all of them are sound
        batches = [batch async for batch in source.pull(points, early, 100_000)]
        assert not any(batch.failed for batch in batches)
        counted = await source.tally(points, SPAN)
        assert not counted.failed

    answers.run(read)


def test_odd_names_and_descriptions_stop_no_other_tag(answers: Answers) -> None:
    names = [CJK[:256], "nul\0in", "esc\x1b[31m\x01", "😀 'pump' --", "line\nbreak", "tab\there"]
    for name in names:
        answers.order("tags", op="add", name=name, description=CJK + "\ud800", kind="string", interval_s=300)
    for name in ("lone\ud800", "\udfff", "\udc00\ud800"):
        answers.order("tags", op="add", name=name, interval_s=60)

    async def read(source: WonderwareSource) -> None:
        points = await source.discover()
        [lost] = [each for why, each in source.left_out.items() if "no Unicode text" in why]
        assert set(lost) == {"'lone\\ud800'", "'\\udc00'", "'\\udc00\\ud800'"}
        assert {point.name for point in points} >= set(names)
        assert {point.description for point in points if point.name in names} == {CJK + "\ufffd"}
        # pymssql writes values into the statement, and DB-Library ends that at a NUL.
        unasked = {point_id("nul\0in")} if answers.driver == "pymssql" else set()
        there, failed = await pulled(source, points)
        assert failed.keys() == unasked
        assert there == {point.id for point in points} - unasked
        counted = await source.tally(points, SPAN)
        assert counted.failed.keys() == unasked
        events = dict(zip(*(counted.table[name].to_pylist() for name in ("point", "events")), strict=True))
        assert all(events[identifier] for identifier in map(point_id, names) if identifier not in unasked)

    answers.run(read)


@pytest.mark.parametrize(("number", "kind"), [(229, Stop), (916, Stop), (701, Retry), (8_645, Retry)])
def test_the_number_of_an_error_decides(answers: Answers, number: int, kind: type[Exception]) -> None:
    """Also by a driver that tells none: it is asked for."""

    async def asked(source: WonderwareSource) -> None:
        points = await source.discover()
        answers.order("faults", kind="error", number=number, times=-1)
        for question in (pulled, counted):
            with pytest.raises(kind) as caught:
                await question(source, points)
            assert not isinstance(caught.value, Unreachable)

    async def counted(source: WonderwareSource, points: Sequence[Point]) -> None:
        await source.tally(points, SPAN)

    answers.run(asked)


def test_the_doctor_asks_the_engine_behind_sql_server(answers: Answers) -> None:
    async def asked(source: WonderwareSource) -> None:
        await source._server.check_engine()
        answers.order("faults", kind="error", number=7_303, times=-1)
        with pytest.raises(Unreachable, match="engine answers nothing"):
            await source._server.check_engine()

    answers.run(asked)


def test_a_question_that_cannot_be_made_smaller_is_no_split(answers: Answers) -> None:
    """Nobody who asks for the catalogue or the journal can ask for less of them."""

    async def refused(source: WonderwareSource) -> None:
        answers.order("faults", kind="too_long", characters=300, number=40_001)  # not the engine's short question
        for question in (source.journal(SPAN), source.count_journal(SPAN)):
            with pytest.raises(Unreachable, match="also for the second"):
                await question
        answers.historian.execute = missing  # type: ignore[method-assign]
        for question in (source.discover(), source.time_ns()):
            with pytest.raises(Unreachable):
                await question

    def missing(*_: object) -> Iterator[Any]:
        raise SqlError(40_001, "the database is being recovered")

    answers.run(refused)
