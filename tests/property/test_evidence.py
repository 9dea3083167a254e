"""How many events are proved, against a model that remembers every event by its generation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import samples
from pipelines.evidence import Scope, gather, standings
from pipelines.landing import Landing
from pipelines.ledger import PROVISIONAL
from pipelines.ports import PROOF_SCHEMA, Exclusion, SliceId, SliceRecord
from pipelines.timeline import Interval
from tests.unit.cli.conftest import CatalogueLedger

SOURCE, GROUP = "pi1", "g000"
POINTS = ["A", "B", "C"]
DAY = Interval(0, 24)


def _events(generation: int, span: Interval) -> pa.Table:
    """Of each point some events, by generation, inside the span."""
    rows = [
        {"point": point, "time": time, "tie": 0, "value": 1.0, "text": None, "code": None, "quality": 192, "detail": 0}
        for index, point in enumerate(POINTS)
        for time in range(span.start_ns, span.end_ns)
        if (time + index + generation) % 3
    ]
    table = pa.Table.from_pylist(rows, schema=samples.SCHEMA) if rows else samples.empty()
    return samples.ordered(table)


spans = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda s: s[0] < s[1]).map(lambda s: Interval(*s))
steps = st.one_of(
    st.tuples(st.just("verified"), spans, st.booleans()),
    st.tuples(st.just("withdrawn"), spans, st.just(False)),
    st.tuples(st.just("excepted"), spans, st.sampled_from(POINTS)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=7), spans)
def test_every_event_is_counted_once_whatever_cuts_its_slice(
    given_steps: list[tuple[str, Interval, object]], asked: Interval
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        landing, ledger = Landing(Path(folder)), CatalogueLedger()
        current: dict[int, set[tuple[str, int]]] = {}
        covered: set[int] = set()
        excepted: set[tuple[str, int]] = set()
        for number, (what, span, more) in enumerate(given_steps):
            slice_id = SliceId(SOURCE, GROUP, span)
            instants = range(span.start_ns, span.end_ns)
            if what == "verified":
                events = _events(number, span)
                manifest = landing.land(slice_id, DAY, events, POINTS, {})
                note = PROVISIONAL if more else ""
                record = SliceRecord(slice_id, "verified", manifest.generation, events=len(events), note=note)
                ledger.commit(record, PROOF_SCHEMA.empty_table())
                rows = {(row["point"], row["time"].value) for row in events.select(["point", "time"]).to_pylist()}
                for time in instants:
                    current[time] = {row for row in rows if row[1] == time}
                covered |= set(instants)
                excepted = {(point, time) for point, time in excepted if time not in instants}
            elif what == "withdrawn":
                ledger.withdraw(slice_id, "restated")
                covered -= set(instants)
            else:
                ledger.exclude([Exclusion(SOURCE, GROUP, str(more), span, "drift")])
                excepted |= {(str(more), time) for time in instants}
        scope = Scope(SOURCE, asked, {GROUP: POINTS}, [DAY])
        [found] = standings(ledger, landing, scope)
        inside = range(asked.start_ns, asked.end_ns)
        landed = {row for time in inside for row in current.get(time, ())}
        assert found.landed_events == len(landed)
        assert found.covered_events == len({row for row in landed if row[1] in covered})
        assert found.proved_events == len({row for row in landed - excepted if row[1] in covered})
        one = Scope(SOURCE, asked, {GROUP: ["B"]}, [DAY], whole=False)
        assert gather(ledger, landing, one).proved_events == len(
            {row for row in landed - excepted if row[1] in covered and row[0] == "B"}
        )
