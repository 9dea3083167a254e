"""What every Source must do, whatever historian it reads: a suite to subclass, given a plant whose truth is known.

A subclass provides the fixture `case`. Times in the plant lie on multiples of `case.tick_ns`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines import samples
from pipelines.points import Point
from pipelines.ports import Clocked, Pulled, Source, Split
from pipelines.reconcile import usable_totals
from pipelines.timeline import MINUTE_NS, Interval

MAX_EVENTS = 1_000_000


@dataclass(frozen=True)
class SourceCase:
    """A plant to read, and what it holds."""

    connect: Callable[[], AbstractAsyncContextManager[Source]]
    connect_tiny: Callable[[], AbstractAsyncContextManager[Source]]  # the smallest pages that make sense
    truth: Callable[[Interval], pa.Table]  # samples.SCHEMA, all points
    span: Interval  # with events, ties at one stamp among them
    empty: Interval  # without any
    point_count: int
    missing: Callable[[Point], Point]  # the point as it would be if the source did not know it
    tick_ns: int = 100


def same(found: pa.Table, expected: pa.Table) -> None:
    """Asserts that both hold the same events, bit by bit; every NaN is one NaN."""
    found, expected = samples.ordered(found), samples.ordered(expected)
    assert found.schema.equals(samples.SCHEMA)
    assert found.num_rows == expected.num_rows
    for name in found.column_names:
        one, two = (table[name].combine_chunks() for table in (found, expected))
        if name == "value":
            assert one.is_null().equals(two.is_null())
            one, two = (pa.array(_bits(each)) for each in (one, two))
        if name == "point":
            one, two = (each.cast(pa.string()) for each in (one, two))
        if not one.equals(two):
            place = next(i for i in range(len(one)) if one[i] != two[i])
            rows = [table.slice(place, 1).to_pylist() for table in (found, expected)]
            pytest.fail(f"{name} differs first at {place}: {rows[0]} expected {rows[1]}")


def _bits(values: pa.Array) -> np.ndarray:
    plain = np.array(values.fill_null(0.0))
    plain[np.isnan(plain)] = np.nan
    return plain.view(np.int64)


async def drained(source: Source, points: Sequence[Point], span: Interval, most: int = MAX_EVENTS) -> list[Pulled]:
    """Every batch of a pull, checked for what holds of any: each point once, whole, in order, within the bounds."""
    batches = []
    seen: set[str] = set()
    async for batch in source.pull(points, span, most):
        assert batch.samples.num_rows <= most
        assert batch.samples.schema.equals(samples.SCHEMA)
        answered = [*batch.points, *batch.failed]
        assert len(answered) == len(set(answered)) and not seen & set(answered)
        seen |= set(answered)
        used = set(batch.samples["point"].to_pylist())
        assert used <= set(batch.points)
        times = samples.times_ns(batch.samples)
        assert not len(times) or (span.start_ns <= times.min() and times.max() < span.end_ns)
        names = np.array(batch.samples["point"].to_pylist())
        same_point = names[1:] == names[:-1]
        assert (times[1:] >= times[:-1])[same_point].all() if len(times) else True
        batches.append(batch)
    assert seen == {point.id for point in points}
    return batches


def events_of(batches: Sequence[Pulled]) -> pa.Table:
    """The events of all batches."""
    return pa.concat_tables([samples.empty(), *(batch.samples for batch in batches)])


def failures_of(batches: Sequence[Pulled]) -> dict[str, str]:
    """The failed points of all batches."""
    return {name: reason for batch in batches for name, reason in batch.failed.items()}


def of_points(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The events of some points."""
    wanted = set(names)
    return table.filter(pa.array([name in wanted for name in table["point"].to_pylist()], pa.bool_()))


class SourceContract:
    """The suite."""

    def run(
        self, connect: Callable[[], AbstractAsyncContextManager[Source]], work: Callable[[Source], Awaitable[Any]]
    ) -> Any:
        async def main() -> Any:
            async with connect() as source:
                return await work(source)

        return asyncio.run(main())

    def pulled(
        self, connect: Callable[[], AbstractAsyncContextManager[Source]], span: Interval, most: int = MAX_EVENTS
    ) -> list[Pulled]:
        async def work(source: Source) -> list[Pulled]:
            return await drained(source, await source.discover(), span, most)

        return self.run(connect, work)

    def test_its_clock_is_told_in_utc(self, case: SourceCase) -> None:
        """Whatever zone the server is in; a spool has none but ours."""

        async def work() -> None:
            async with case.connect() as source:
                if isinstance(source, Clocked):
                    told_ns = await source.time_ns()
                    assert told_ns is not None
                    assert abs(told_ns - time.time_ns()) < MINUTE_NS

        asyncio.run(work())

    def test_it_is_a_source(self, case: SourceCase) -> None:
        async def work(source: Source) -> None:
            assert isinstance(source, Source)
            await source.close()
            await source.close()

        self.run(case.connect, work)

    def test_discovers_every_point(self, case: SourceCase) -> None:
        points = self.run(case.connect, lambda source: source.discover())
        assert len(points) == case.point_count
        assert len({point.id for point in points}) == len({point.source_key for point in points}) == len(points)
        assert all(point.address and point.source_key and point.source_type for point in points)
        assert set(case.truth(case.span)["point"].to_pylist()) <= {point.id for point in points}

    def test_whole_window_is_the_truth(self, case: SourceCase) -> None:
        batches = self.pulled(case.connect, case.span)
        assert not failures_of(batches)
        same(events_of(batches), case.truth(case.span))

    def test_tiny_pages_give_the_truth(self, case: SourceCase) -> None:
        batches = self.pulled(case.connect_tiny, case.span)
        assert not failures_of(batches)
        same(events_of(batches), case.truth(case.span))

    def test_windows_side_by_side_are_the_whole(self, case: SourceCase) -> None:
        cuts = _cuts(case)

        async def work(source: Source) -> list[Pulled]:
            points = await source.discover()
            return [batch for cut in cuts for batch in await drained(source, points, cut)]

        found = events_of(self.run(case.connect, work))
        same(found, case.truth(case.span))

    def test_empty_window(self, case: SourceCase) -> None:
        batches = self.pulled(case.connect, case.empty)
        assert not failures_of(batches)
        assert events_of(batches).num_rows == 0

    def test_both_ends_of_a_window(self, case: SourceCase) -> None:
        """An event at the start belongs to the window, one at the end does not."""
        expected = case.truth(case.span)
        times = samples.times_ns(expected)
        moment = int(np.sort(times)[len(times) // 2])
        at = Interval(moment, moment + case.tick_ns)
        before = Interval(moment - case.tick_ns, moment)

        async def work(source: Source) -> None:
            points = await source.discover()
            same(events_of(await drained(source, points, at)), case.truth(at))
            same(events_of(await drained(source, points, before)), case.truth(before))
            assert case.truth(at).num_rows > 0

        self.run(case.connect, work)

    def test_a_missing_point_fails_alone(self, case: SourceCase) -> None:
        async def work(source: Source) -> None:
            points = await source.discover()
            events = samples.tally(samples.ordered(case.truth(case.span)))
            lost = events["point"][len(events) // 2].as_py()
            points = [case.missing(point) if point.id == lost else point for point in points]
            batches = await drained(source, points, case.span)
            assert list(failures_of(batches)) == [lost]
            assert failures_of(batches)[lost]
            kept = [point.id for point in points if point.id != lost]
            same(events_of(batches), of_points(case.truth(case.span), kept))
            counted = await source.tally(points, case.span)
            assert list(counted.failed) == [lost]
            assert lost not in counted.table["point"].to_pylist()

        self.run(case.connect, work)

    def test_no_points_no_batches_with_events(self, case: SourceCase) -> None:
        async def work(source: Source) -> None:
            assert events_of(await drained(source, [], case.span)).num_rows == 0

        self.run(case.connect, work)

    def test_batches_stay_within_bounds(self, case: SourceCase) -> None:
        events = samples.tally(samples.ordered(case.truth(case.span)))
        busiest = max(events["events"].to_pylist())
        batches = self.pulled(case.connect, case.span, busiest)
        same(events_of(batches), case.truth(case.span))
        with pytest.raises(Split):
            self.pulled(case.connect, case.span, busiest - 1)

    def test_tally_is_the_truth(self, case: SourceCase) -> None:
        async def work(source: Source) -> None:
            points = await source.discover()
            for span in (case.span, *_cuts(case), case.empty):
                counted = await source.tally(points, span)
                assert not counted.failed
                found = dict(zip(*(counted.table[name].to_pylist() for name in ("point", "events")), strict=True))
                assert found == counts_of(case.truth(span), points)

        self.run(case.connect, work)

    def test_tally_after_a_pull_is_the_truth(self, case: SourceCase) -> None:
        """A source may have learned from what it pulled how far its own counts can be trusted."""

        async def work(source: Source) -> None:
            points = await source.discover()
            await drained(source, points, case.span)
            counted = await source.tally(points, case.span)
            expected = usable_totals(case.truth(case.span))
            found = dict(zip(*(counted.table[name].to_pylist() for name in ("point", "events")), strict=True))
            assert found == counts_of(case.truth(case.span), points)
            if {"total", "origin"} <= set(counted.table.column_names):
                rows = (counted.table[key].to_pylist() for key in ("point", "total", "origin"))
                for name, total, origin in zip(*rows, strict=True):
                    if total is not None and (sums := expected.get(name)) and origin == "independent":
                        usable, magnitude = sums
                        assert abs(total - usable) <= 1e-10 * magnitude, name

        self.run(case.connect, work)

    def test_a_pull_can_be_left_and_begun_again(self, case: SourceCase) -> None:
        async def work(source: Source) -> list[Pulled]:
            points = await source.discover()
            async with aclosing(source.pull(points, case.span, MAX_EVENTS)) as pull:
                await anext(pull)
            reading = asyncio.create_task(drained(source, points, case.span))
            await asyncio.sleep(0.02)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            return await drained(source, points, case.span)

        same(events_of(self.run(case.connect, work)), case.truth(case.span))

    def test_two_pulls_at_once(self, case: SourceCase) -> None:
        async def work(source: Source) -> list[Pulled]:
            points = await source.discover()
            some, others = points[::2], points[1::2]
            both = await asyncio.gather(drained(source, some, case.span), drained(source, others, case.span))
            return [batch for batches in both for batch in batches]

        same(events_of(self.run(case.connect, work)), case.truth(case.span))


def counts_of(table: pa.Table, points: Sequence[Point]) -> dict[str, int]:
    """Events by point, 0 for those without."""
    counted = samples.tally(samples.ordered(table))
    held = dict(zip(*(counted[name].to_pylist() for name in ("point", "events")), strict=True))
    return {point.id: held.get(point.id, 0) for point in points}


def _cuts(case: SourceCase) -> list[Interval]:
    """Three windows side by side, cut exactly at events."""
    times = np.unique(samples.times_ns(case.truth(case.span)))
    first, second = int(times[len(times) // 3]), int(times[len(times) * 2 // 3])
    return [
        Interval(case.span.start_ns, first),
        Interval(first, second),
        Interval(second, case.span.end_ns),
    ]
