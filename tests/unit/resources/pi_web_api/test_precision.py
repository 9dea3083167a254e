"""Points of few bits, from the texts that a server writes to a proof."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines import reconcile, samples
from pipelines.points import Point
from pipelines.timeline import TICK_NS, Interval, parse
from resources.pi_web_api.decoding import Given, decode
from resources.pi_web_api.wire import Stream, reader
from tests.unit.resources.pi_web_api.fake_plant import Event, FakePlant, timed

START = parse("2026-01-01T00:00:00Z")
SPAN = Interval(START, START + 1_000 * TICK_NS)
SHUTDOWN = {"Value": {"Name": "Shutdown", "Value": 254, "IsSystem": True}, "Good": False}
DRAWN = np.random.default_rng(7).uniform(-50, 200, 400)
KINDS: dict[str, Callable[[Any], Any]] = {"Float32": np.float32, "Float16": np.float16, "Float64": np.float64}


def point_of(pi_type: str, **more: Any) -> Point:
    return Point("p", "p", "number", "g:p", "p", pi_type, **more)


def stream_of(texts: Any) -> Any:
    items = ",".join(f'{{"Timestamp":"2026-01-01T00:00:00Z","Value":{text},"Good":true}}' for text in texts)
    return reader(Stream)(f'{{"Items":[{items}]}}'.encode()).items


def read(point: Point, *texts: str) -> list[float | None]:
    """The values that are kept of JSON values of one point, between streams of doubles."""
    other = Given(1, point_of("Float64"), stream_of(["0.3"]))
    page = decode([other, Given(0, point, stream_of(texts)), other])
    values: list[float | None] = page.rows["value"].to_pylist()
    assert not page.bad and not page.lost and values[0] == values[-1] == 0.3
    return values[1:-1]


@pytest.mark.parametrize(
    ("pi_type", "texts", "values"),
    [
        ("Float32", ["81.83204"], [81.83203887939453125]),
        ("float32", ["81.8320389", "8.183204E+01", "81.832038879394531"], [81.83203887939453125] * 3),
        ("Float32", ["16777217", "123456790", "-0.0", "5", "1e39"], [16777216.0, 123456792.0, -0.0, 5.0, 1e39]),
        ("Float32", ["0.1", '{"Name":"Shutdown","Value":254,"IsSystem":true}', '"NaN"', "true"],
         [0.10000000149011612, None, float("nan"), 1.0]),
        ("Float32", ["0.30000000000000004"], [0.30000000000000004]),
        ("Float64", ["81.83204", "0.1"], [81.83204, 0.1]),
        ("Int32", ["16777217"], [16777217.0]),
        ("Float16", ["56.78", "0.1", "2.002E+04"], [56.78125, 0.0999755859375, 20016.0]),
        ("Float16", ["56.78", "30.518509"], [float(np.float32(56.78)), float(np.float32(30.518509))]),
    ],
)  # fmt: skip
def test_what_a_text_stands_for(pi_type: str, texts: list[str], values: list[float | None]) -> None:
    found = read(point_of(pi_type), *texts)
    assert str(found) == str(values)


@pytest.mark.parametrize(("zero", "span"), [(0.0, 100.0), (-20.0, 220.0), (0.0, 32_767.0), (0.0, 327.67), (5.0, 16.0)])
def test_the_steps_of_a_float16_are_kept_as_singles(zero: float, span: float) -> None:
    """Also where the text of a step is that of a half: 48.97, step 16046 of 100."""
    steps = np.float32(zero) + np.arange(0, 32_768, 7).astype(np.float32) * np.float32(span) / np.float32(32_767)
    point = point_of("Float16", zero=zero, span=span)
    texts = [str(float(str(step))) for step in steps]
    assert read(point, *texts) == steps.astype(float).tolist()
    if span == 100.0:
        assert read(point, "48.97") == [float(np.float32(48.97))]


def plant_of(pi_type: str, added: str) -> tuple[FakePlant, list[Point]]:
    """A server whose Total is of the numbers, of their texts, or a third thing."""
    kind = KINDS[pi_type]

    class Adding(FakePlant):
        def _summary(self, events: list[Event]) -> list[dict[str, Any]]:
            found = [timed(event) for event in events]
            good = [each["Value"] for each in found if each["Good"]]
            exact = [float(kind(text)) for text in good]
            total = {"numbers": sum(exact), "texts": sum(good), "between": (sum(exact) + sum(good)) / 2,
                     "in few bits": float(sum(map(kind, good), kind(0)))}[added]  # fmt: skip
            told = {"Count": len(found), "Total": total, "PercentGood": 100.0 * len(good) / len(found)}
            return [{"Type": name, "Value": {"Value": each, "Good": True}} for name, each in told.items()]

    texts = [float(np.format_float_scientific(kind(each))) for each in DRAWN]
    events: list[Event] = [(START + at * TICK_NS, text) for at, text in enumerate(texts)]
    plant = Adding({"good": events, "bad": [*events, (START + 500 * TICK_NS, SHUTDOWN)]})
    return plant, [Point(name, name, "number", f"g:{name}", name, pi_type) for name in plant.events]


@pytest.mark.parametrize("pi_type", KINDS)
@pytest.mark.parametrize(
    ("added", "same"), [("numbers", True), ("texts", True), ("between", False), ("in few bits", False)]
)
def test_a_point_is_proved_whichever_way_its_numbers_are_added_up(pi_type: str, added: str, same: bool) -> None:
    plant, points = plant_of(pi_type, added)

    async def work() -> Any:
        source = plant.source()
        try:
            pulled = [batch.samples async for batch in source.pull(points, SPAN, 10_000)]
            return samples.ordered(pa.concat_tables(pulled)), await source.tally(points, SPAN)
        finally:
            await source.close()

    landed, said = asyncio.run(work())
    numbers = landed["value"].drop_null().to_pylist()
    assert numbers == 2 * [float(KINDS[pi_type](each)) for each in DRAWN]
    assert said.origin == "independent" and set(said.table["origin"].to_pylist()) == {"independent"}
    drift = reconcile.against_source(reconcile.landed_rows(landed), landed, said, ["good", "bad"])
    if same or pi_type == "Float64":
        assert not drift
        assert said.table["total"].null_count == 0  # what was learned of bad events is that sums may be used
    else:
        assert [each.point for each in drift] == ["good"] and drift[0].what == "total"
