"""What every Store must do: a suite to subclass. A subclass provides the fixture `store`, prepared.

Each test writes under a source name of its own, so tests share one store and its tables.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import reconcile, samples
from pipelines.points import point_id
from pipelines.ports import Store
from pipelines.timeline import DAY_NS, MINUTE_NS, SECOND_NS, Interval, parse
from resources.iotdb import scans
from tests.contract.source_contract import same

START = parse("2024-02-28T23:59:59Z")
ALWAYS = Interval(parse("1700-01-01"), parse("2250-01-01"))
COUNTED = ["point", "events", "numbers", "first_ns", "last_ns"]

NUMBERS = [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, -1e300, float("nan"), float("inf"), float("-inf"), 2.0**53]
TEXTS = ["", "Ein", "Läuft — 走る 🚀", "a\0b", 'it\'s "quoted" \\ %_;--', "\n\r\t ", "'; DROP TABLE samples; --"]
CODES = [samples.NO_CODE, 0, 255, 2**53 + 1, 2**63 - 1, -(2**63)]
QUALITIES = [192, 216, 64, 0, 24]
DETAILS = [0, 1, -1, 2**31 - 1, -(2**31)]
IDS = [point_id(name) for name in ("P1", "Kessel 1/Öl.Temp", "日本", "a'b\"c", "x" * 300, "%", "NULL")]
_AWKWARD = ("1969-12-31T23:59:59.9999999Z", "1970-01-01", "2038-01-19T03:14:08Z", "2099-12-31T00:00:00Z")
_AFTER_START = (0, 1, 100, SECOND_NS, 6 * DAY_NS, 40 * DAY_NS)
TIMES = sorted([1, 100, -7 * DAY_NS, *map(parse, _AWKWARD), *(START + later for later in _AFTER_START)])


def source_name() -> str:
    return f"s_{uuid.uuid4().hex}"


def number(point: str, time: int, value: float, tie: int = 0, quality: int = 192, detail: int = 0) -> tuple:
    return (point, time, tie, value, None, None, quality, detail)


def state(
    point: str, time: int, text: str, code: int = samples.NO_CODE, tie: int = 0, quality: int = 192, detail: int = 0
) -> tuple:
    return (point, time, tie, None, text, code, quality, detail)


def table(events: Sequence[tuple]) -> pa.Table:
    columns = list(zip(*events, strict=True)) or [()] * 8
    types = [pa.string(), pa.int64(), pa.int32(), pa.float64(), pa.string(), pa.int64(), pa.int32(), pa.int32()]
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, types, strict=True)]
    named = dict(zip(samples.SCHEMA.names[: len(arrays)], arrays, strict=True))
    named["time"] = named["time"].cast(samples.SCHEMA.field("time").type)
    named["point"] = named["point"].dictionary_encode()
    return samples.ordered(samples.samples_table(named))


def held(store: Store, source: str, points: Sequence[str] = IDS, span: Interval = ALWAYS) -> pa.Table:
    """What the store reads back, checked for what holds of any answer: in order, each point whole in one table."""
    parts = list(store.read(source, points, span))
    seen: list[str] = []
    for part in parts:
        assert part.schema.equals(samples.SCHEMA)
        keys = part.select(["point", "time", "tie"])
        assert samples.ordered(part).select(keys.column_names).equals(keys)
        seen += part["point"].unique().to_pylist()
    assert len(seen) == len(set(seen))
    return samples.ordered(pa.concat_tables(parts).unify_dictionaries()) if parts else samples.empty()


def same_tally(found: pa.Table, events: pa.Table) -> None:
    """Asserts that the store's own aggregates are those of the events: to the last bit where these can be told."""
    expected = samples.tally(events, number_digest=True)
    assert found.schema.equals(samples.TALLY_SCHEMA)
    assert found.select(COUNTED).to_pylist() == expected.select(COUNTED).to_pylist()
    scale = np.array(expected["magnitude"]) + 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.abs(np.array(found["total"]) - np.array(expected["total"]))
        odd = np.array(expected["finite"]) < np.array(expected["numbers"])
        assert ((difference <= 1e-9 * scale) | ~np.isfinite(scale) | np.isnan(difference) | odd).all()
    told = expected["number_digest"].to_pylist()
    digests = found["number_digest"].to_pylist()
    assert [its for its, ours in zip(digests, told, strict=True) if ours is not None] == [
        ours for ours in told if ours is not None
    ]
    assert found["digest"].null_count == len(found)


def dense(points: Sequence[str], rows: int, seed: int = 1, state_share: float = 0.1) -> pa.Table:
    """`rows` events a point, one a minute, some of them states, some bad."""
    rng = np.random.default_rng(seed)
    events = []
    for point in points:
        draws = rng.random((rows, 2))
        for index, (kind, good) in enumerate(draws):
            time, quality = START + index * MINUTE_NS + 100, 192 if good < 0.9 else 0
            if kind < state_share:
                events.append(state(point, time, f"state {int(kind * 30)}", int(kind * 30), quality=quality))
            else:
                events.append(number(point, time, float(np.round(kind * 100, 3)), quality=quality))
    return table(events)


@st.composite
def small_tables(draw: st.DrawFn) -> pa.Table:
    """A few events of a few points at awkward times, any number of them at one stamp, of every kind of value."""
    events = []
    ties: dict[tuple[str, int], int] = {}
    for _ in range(draw(st.integers(1, 25))):
        point, time = draw(st.sampled_from(IDS)), draw(st.sampled_from(TIMES))
        tie = ties[point, time] = ties.get((point, time), -1) + 1
        quality, detail = draw(st.sampled_from(QUALITIES)), draw(st.sampled_from(DETAILS))
        if draw(st.booleans()):
            value = draw(st.one_of(st.sampled_from(NUMBERS), st.floats(width=64)))
            events.append(number(point, time, value, tie, quality, detail))
        else:
            text = draw(st.one_of(st.sampled_from(TEXTS), st.text(max_size=20)))
            events.append(state(point, time, text, draw(st.sampled_from(CODES)), tie, quality, detail))
    return table(events)


SMALL = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class StoreContract:
    """Subclass it, with a fixture `store`."""

    def test_every_kind_of_value_comes_back(self, store: Store) -> None:
        source = source_name()
        events = [number(IDS[0], START + i * SECOND_NS, value) for i, value in enumerate(NUMBERS)]
        events += [
            state(IDS[1], START + i * SECOND_NS, text, code)
            for i, (text, code) in enumerate((text, code) for text in TEXTS for code in CODES)
        ]
        events += [
            number(IDS[2], START + i, 1.0, quality=q, detail=d)
            for i, (q, d) in enumerate(zip(QUALITIES, DETAILS, strict=True))
        ]
        events += [number(point, time, 2.5) for point in IDS[3:] for time in TIMES]
        store.write(source, table(events))
        same(held(store, source), table(events))

    def test_long_texts_come_back(self, store: Store) -> None:
        source = source_name()
        events = table(
            [state("long", START + i, text) for i, text in enumerate(["x" * 2**20, "é" * 2**19, "", "🚀" * 2**16])]
        )
        store.write(source, events)
        same(held(store, source, ["long"]), events)

    @SMALL
    @given(events=small_tables())
    def test_any_events_come_back_and_tally(self, store: Store, events: pa.Table) -> None:
        source = source_name()
        store.write(source, events)
        same(held(store, source), events)
        same_tally(store.tally(source, IDS, ALWAYS), events)

    def test_the_tally_tells_what_a_sum_of_doubles_does_not(self, store: Store) -> None:
        """One of 200,000 values near a million that changed by 8 was within the rounding of their sum."""
        source, rows = source_name(), 200_000
        rng = np.random.default_rng(9)
        columns = {
            "point": pa.array(["A"] * rows).dictionary_encode(),
            "time": pa.array(START + np.arange(rows) * SECOND_NS).cast(samples.SCHEMA.field("time").type),
            "tie": pa.array(np.zeros(rows, np.int32)),
            "value": pa.array(1e6 + rng.normal(size=rows) * 10),
            "quality": pa.array(rng.choice(QUALITIES, rows).astype(np.int32)),
            "detail": pa.array(rng.choice(DETAILS, rows).astype(np.int32)),
        }
        events = samples.ordered(samples.samples_table(columns))
        store.write(source, events)
        same_tally(store.tally(source, ["A"], ALWAYS), events)
        landed, values = reconcile.landed_rows(events), np.array(events["value"])

        def differs(*put: float) -> bool:
            """Whether other values from the 77th on are found; they are put right again."""
            true = events.slice(77, len(put))
            store.write(source, true.set_column(3, samples.SCHEMA.field("value"), pa.array(put, pa.float64())))
            found = reconcile.against_store(landed, reconcile.rows_of(store.tally(source, ["A"], ALWAYS)), ["A"])
            store.write(source, true)
            return bool(found)

        assert differs(values[77] + 8)
        assert differs(np.nextafter(values[77], 0))
        assert differs(values[78], values[77])
        assert differs(float("nan"))
        assert not differs(values[77])

    @SMALL
    @given(events=small_tables(), draw=st.data())
    def test_a_delete_takes_exactly_the_named_rows(self, store: Store, events: pa.Table, draw: st.DataObject) -> None:
        source = source_name()
        store.write(source, events)
        doomed = np.array(draw.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events))))
        store.delete(source, events.filter(pa.array(doomed)))
        kept = events.filter(pa.array(~doomed))
        same(held(store, source), kept)
        same_tally(store.tally(source, IDS, ALWAYS), kept)
        store.write(source, events)
        same(held(store, source), events)

    def test_writing_twice_changes_nothing(self, store: Store) -> None:
        source, events = source_name(), dense(["A", "B"], 50)
        store.write(source, events)
        store.write(source, events)
        same(held(store, source, ["A", "B"]), events)

    def test_the_later_write_counts(self, store: Store) -> None:
        source = source_name()
        store.write(source, table([number("A", START, 1.0, detail=7), state("A", START + 1, "old", 1, detail=7)]))
        newer = table([number("A", START, float("nan"), quality=0), state("A", START + 1, "", quality=0)])
        store.write(source, newer)
        same(held(store, source, ["A"]), newer)

    def test_a_number_becomes_a_state(self, store: Store) -> None:
        source = source_name()
        before = table([number("A", START, 1.0), number("A", START + 1, 2.0)])
        after = table([state("A", START, "Bad Input", 255, quality=0), number("A", START + 1, 2.0)])
        store.write(source, before)
        store.write(source, after)
        store.delete(source, before.slice(0, 1))
        same(held(store, source, ["A"]), after)
        same_tally(store.tally(source, ["A"], ALWAYS), after)

    def test_ties_are_numbered_across_numbers_and_states(self, store: Store) -> None:
        source = source_name()
        events = table(
            [number("A", START, 1.0), state("A", START, "x", 1, tie=1), number("A", START, 1.0, tie=2)]
            + [number("A", START, float(tie), tie=tie) for tie in range(3, 15)]
        )
        store.write(source, events)
        same(held(store, source, ["A"]), events)
        same_tally(store.tally(source, ["A"], ALWAYS), events)

    def test_texts_of_more_than_one_answer_come_back(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """In parts of the span, and of one moment row by row; nothing twice, and nothing left out."""
        monkeypatch.setattr(scans, "CHARACTERS_PER_TABLE", 2_000)
        source = source_name()
        events = [
            state(point, START + place * SECOND_NS, sign * length, tie=tie)
            for point in IDS[:2]
            for tie, sign in enumerate(("x", "Ü", "🏭"))
            for place, length in enumerate([0, 1, 999, 1_000, 1_001, 10, 10, 5_000])
        ]
        events += [number(IDS[0], START + place * SECOND_NS, float(place), tie=3) for place in range(20)]
        store.write(source, table(events))
        for span in (ALWAYS, Interval(START, START + MINUTE_NS), Interval(START + SECOND_NS, START + 3 * SECOND_NS)):
            inside = [each for each in events if span.start_ns <= each[1] < span.end_ns]
            same(held(store, source, IDS[:2], span), table(inside))

    def test_the_newest_event_is_that_of_now(self, store: Store) -> None:
        source, other = source_name(), source_name()
        asked = [*IDS, "A", "B", "C", "nobody"]
        assert not len(store.latest(source, asked))
        assert not len(store.latest(source, []))
        events = [number(point, START - i * SECOND_NS, float(i)) for point in IDS for i in range(20)]
        events += [number("A", START, 1.0), state("A", START, "x", 7, tie=1), number("B", START, float("nan"))]
        events += [state("C", START - 1, "before"), number("C", START, 2.5, quality=64, detail=9)]
        store.write(source, table(events))
        store.write(other, table([number("A", START + SECOND_NS, 5.0)]))
        newest = [number(point, START, 0.0) for point in IDS]
        newest += [state("A", START, "x", 7, tie=1), number("B", START, float("nan"))]
        c_now = number("C", START, 2.5, quality=64, detail=9)
        same(store.latest(source, asked), table([*newest, c_now]))
        # A server that remembers last values must not answer with those of before.
        store.write(source, table([number("B", START, 3.5), number("B", START - SECOND_NS, 4.5)]))
        store.delete(source, table([state("A", START, "x", 7, tie=1), c_now]))
        later = number(IDS[0], START + 40 * DAY_NS, 9.0)
        store.write(source, table([later]))
        now = [later, *(number(point, START, 0.0) for point in IDS[1:]), number("A", START, 1.0)]
        now += [number("B", START, 3.5), state("C", START - 1, "before")]
        same(store.latest(source, asked), table(now))
        store.delete(source, table([later]))
        same(store.latest(source, IDS), table([number(point, START, 0.0) for point in IDS]))

    def test_a_span_has_its_start_and_not_its_end(self, store: Store) -> None:
        source = source_name()
        times = [START - 1, START, START + 1, START + 99, START + 100, START + 101]
        events = table([number("A", time, float(i)) for i, time in enumerate(times)])
        store.write(source, events)
        inside = table([number("A", time, float(i)) for i, time in enumerate(times) if START <= time < START + 100])
        span = Interval(START, START + 100)
        same(held(store, source, ["A"], span), inside)
        same_tally(store.tally(source, ["A"], span), inside)
        assert not len(held(store, source, ["A"], Interval(START + 2, START + 99)))

    def test_only_the_asked_points_and_source_count(self, store: Store) -> None:
        source, other = source_name(), source_name()
        events = dense(["A", "B", "C"], 20)
        store.write(source, events)
        store.write(other, dense(["A"], 5, seed=2))
        asked = events.filter(pa.array([point in ("A", "C") for point in events["point"].to_pylist()]))
        same(held(store, source, ["A", "C", "nobody"]), samples.ordered(asked))
        same_tally(store.tally(source, ["C", "A", "A", "nobody"], ALWAYS), samples.ordered(asked))
        store.delete(source, events)
        assert not len(held(store, source, ["A", "B", "C"]))
        same(held(store, other, ["A"]), dense(["A"], 5, seed=2))

    def test_many_events_of_many_points(self, store: Store) -> None:
        source = source_name()
        points = [f"P{i:04d}" for i in range(120)]
        events = dense(points, 60, state_share=0.02)
        store.write(source, events)
        same(held(store, source, points), events)
        same_tally(store.tally(source, points, ALWAYS), events)

    def test_a_delete_of_thousands_of_rows(self, store: Store) -> None:
        source, points = source_name(), [f"P{i:02d}" for i in range(20)]
        events = dense(points, 200)
        store.write(source, events)
        doomed = np.random.default_rng(5).random(len(events)) < 0.5
        doomed[:1_000] = True  # five points whole
        store.delete(source, events.filter(pa.array(doomed)))
        same(held(store, source, points), samples.ordered(events.filter(pa.array(~doomed))))

    def test_deleting_what_is_not_there_changes_nothing(self, store: Store) -> None:
        source, events = source_name(), dense(["A"], 5)
        store.delete(source, events)
        store.write(source, events)
        store.delete(source, table([number("A", START + 1, 0.0), state("A", START + 50, "x"), number("Z", START, 1.0)]))
        same(held(store, source, ["A"]), events)

    def test_nothing_is_a_fine_amount(self, store: Store) -> None:
        source = source_name()
        store.write(source, samples.empty())
        store.delete(source, samples.empty())
        assert store.tally(source, ["A"], ALWAYS).equals(samples.TALLY_SCHEMA.empty_table())
        assert store.tally(source, [], ALWAYS).equals(samples.TALLY_SCHEMA.empty_table())
        assert not len(held(store, source, ["A"]))
        assert not len(held(store, source, []))

    def test_threads_do_not_disturb_each_other(self, store: Store) -> None:
        sources = [source_name() for _ in range(3)]

        def move(seed: int) -> None:
            events = dense(["A", "B"], 200, seed=seed)
            for part in range(2):
                store.write(sources[seed], events.slice(part * 200, 200))
            same(held(store, sources[seed], ["A", "B"]), events)
            same_tally(store.tally(sources[seed], ["A", "B"], ALWAYS), events)
            store.delete(sources[seed], events.slice(10, 30))

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(move, seed) for seed in range(3)]:
                done.result()
        for seed, source in enumerate(sources):
            events = dense(["A", "B"], 200, seed=seed)
            rest = pa.concat_tables([events.slice(0, 10), events.slice(40)])
            same(held(store, source, ["A", "B"]), samples.ordered(rest))

    @pytest.mark.parametrize("times", [1, 2])
    def test_prepare_may_be_called_again(self, store: Store, times: int) -> None:
        for _ in range(times):
            store.prepare()
        assert store.clock_ns >= 1
