"""One pull: a few requests in flight, pages decoded while the next ones travel, whole points handed over.

Memory: every request in flight is bounded by `max_events` over the number of them, the shelf by `max_events`, and
points half read go first. Requests already under way go on while the caller works with a batch; no new ones start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.points import Point
from pipelines.ports import Pulled, Retry, Split, Stop
from pipelines.samples import crowded_ns, times_ns
from pipelines.timeline import Interval, iso
from resources.pi_web_api.agenda import Agenda, Round
from resources.pi_web_api.cursors import Cursor, advance
from resources.pi_web_api.decoding import Given, Page, decode
from resources.pi_web_api.pace import PARTS, Pace
from resources.pi_web_api.refusals import Denied, Refused, TimedOut, TooMuch, Trouble, refusal
from resources.pi_web_api.shelf import Shelf
from resources.pi_web_api.streams import RECORDED, Ask, Streams
from resources.pi_web_api.transport import BODY_BYTES
from resources.pi_web_api.wire import Stream

_log = logging.getLogger(__name__)
_EVENT_BYTES = 116
_TRIES = 6
_LEAST = 2
"""Events of one answer that no bound of ours keeps out: from one alone paging does not go on."""
_SHRINKS = 6  # down to the 260,000th part of a span
_COSTLY = 2  # of what was tried again and again at each size
_BATCH_EVENTS = 100_000
_ANSWER_BYTES = 32 << 20
"""What one answer may have of JSON in any case: 150,000 numbers are 20 MB."""


@dataclass(slots=True)
class _Outcome:
    """What came of a round: `refused` a whole one, or `page` with the streams of `cursors` in their order. `faults`
    are the others: None where a set or a part of a batch had no answer for one."""

    round: Round
    refused: Exception | None = None
    cursors: tuple[Cursor, ...] = ()
    counts: tuple[int, ...] = ()
    last_texts: tuple[str, ...] = ()
    page: Page | None = None
    faults: tuple[tuple[Cursor, int, Exception | None], ...] = ()


class Pulling:
    """The state of one pull."""

    def __init__(
        self, streams: Streams, pace: Pace, points: Sequence[Point], span: Interval, max_events: int, max_bytes: int
    ) -> None:
        self._streams = streams
        self._pace = pace
        self._flights = streams.transport.concurrency
        self._agenda = Agenda(streams, pace, points, span, max_events // self._flights, max_bytes // self._flights)
        self._shelf = Shelf(tuple(points), _BATCH_EVENTS, max_events, max_bytes)
        self._max_events, self._max_bytes = max_events, max_bytes
        self._answer_bytes = max(_ANSWER_BYTES, 4 * max_bytes // self._flights)
        self._nameless = [at for at in range(len(points)) if not points[at].address]
        self.denied: set[str] = set()
        """Points that the login may not read."""
        self.stray_events = 0
        """Events that the server gave though nobody asked for their time; they were not let through."""

    async def batches(self) -> AsyncGenerator[Pulled, None]:
        """Whole points, some at a time. Raises Split, Retry, Stop; cancels its requests when it is closed."""
        self._shelf.put(list(self._agenda.outside), [])
        flying: set[asyncio.Task[_Outcome]] = set()
        try:
            while self._agenda or flying:
                while self._agenda and len(flying) < self._flights:
                    flying.add(asyncio.create_task(self._fetch(self._agenda.next_round())))
                landed, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                for task in landed:
                    self._take(task.result())
                for batch in self._shelf.take():
                    yield batch
            for batch in self._shelf.rest():
                yield batch
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
            if self.stray_events:
                _log.warning("%s events outside of the asked span were dropped", self.stray_events)

    async def _fetch(self, asked: Round) -> _Outcome:
        try:
            found = await (self._together(asked) if asked.together else self._each(asked))
        except (TooMuch, Refused, Trouble) as error:
            return _Outcome(asked, refused=error)
        return await self._decoded(asked, found)

    async def _together(self, asked: Round) -> list[Stream | Exception | None]:
        query = asked.cursors[0].query(asked.counts[0])
        web_ids = [at.point.address for at in asked.cursors]
        found = await self._streams.together(RECORDED, web_ids, query, self._answer_bytes)
        answers = [found.get(web_id) for web_id in web_ids]
        sizes = [len(each.items) for each in answers if each is not None and isinstance(each.items, list)]
        if sum(sizes) == asked.counts[0]:
            # Exactly maxCount over all streams: this server may count it per call, and have cut anywhere.
            return [None] * len(answers)
        return list(answers)

    async def _each(self, asked: Round) -> Sequence[Stream | Exception | None]:
        asks = [
            Ask(at.point.address, at.query(count), at.slim)
            for at, count in zip(asked.cursors, asked.counts, strict=True)
        ]
        least = len(asks) == 1 and asked.counts[0] <= max(_LEAST, asked.cursors[0].need)
        return await self._streams.each(RECORDED, asks, BODY_BYTES if least else self._answer_bytes)

    async def _decoded(self, asked: Round, found: Sequence[Stream | Exception | None]) -> _Outcome:
        """Streams that were read → columns; the others → faults."""
        given, cursors, counts, faults = [], [], [], []
        for at, count, stream in zip(asked.cursors, asked.counts, found, strict=True):
            if isinstance(stream, Stream) and isinstance(stream.items, list):
                given.append(Given(at.number, at.point, stream.items))
                cursors.append(at)
                counts.append(count)
            else:
                faults.append((at, count, stream if isinstance(stream, Exception) else None))
        texts = tuple(each.events[-1].timestamp or "" if each.events else "" for each in given)
        events = sum(len(each.events) for each in given)
        page = await self._streams.transport.apart(lambda: decode(given), events * _EVENT_BYTES)
        return _Outcome(asked, None, tuple(cursors), tuple(counts), texts, page, tuple(faults))

    def _take(self, outcome: _Outcome) -> None:
        asked = outcome.round
        if outcome.refused is not None:
            self._refused(asked, outcome.refused)
            return
        assert outcome.page is not None
        if outcome.cursors:
            span_s = self._agenda.span_s if asked.first else 0.0
            self._pace.served(len(outcome.cursors), outcome.page.rows.num_rows, span_s, max(outcome.counts))
        self._take_page(outcome, outcome.page)
        for at, count, error in outcome.faults:
            self._fault(asked, at, count, error)

    def _take_page(self, outcome: _Outcome, page: Page) -> None:
        """Whole streams that lie side by side go to the shelf in one piece."""
        run: list[int] = []
        run_low = low = 0
        for place, (at, high) in enumerate(zip(outcome.cursors, page.ends, strict=True)):
            whole = self._take_stream(outcome, page, place, slice(low, high))
            if whole and not at.parts:
                run.append(at.number)
            else:
                if run:
                    self._shelf.put(run, [page.rows.slice(run_low, low - run_low)])
                run, run_low = [], high
                if whole:
                    self._shelf.put([at.number], at.parts)
            low = high
        if run:
            self._shelf.put(run, [page.rows.slice(run_low, low - run_low)])

    def _take_stream(self, outcome: _Outcome, page: Page, place: int, rows: slice) -> bool:
        """Whether the point is whole now. If all of it lies in `rows` of this page its cursor keeps no parts, and
        the caller hands over the page's rows; in every other case the parts hold what was read."""
        at, times = outcome.cursors[place], page.times[rows]
        if place in page.bad:
            self._shelf.fail(at.number, page.bad[place])
            return False
        if place in page.lost:
            self._streams.doubt([at.point.address])
            self._fault(outcome.round, at, outcome.counts[place], refusal(200, page.lost[place]))
            return False
        table = page.rows
        if len(times) and (times[0] < at.start_ns or bool(np.any(times[1:] < times[:-1]))):
            return self._take_odd(outcome, place, table.slice(rows.start, len(times)), times)
        asked_once = not at.parts and not at.events
        step = advance(at, times, outcome.last_texts[place], outcome.counts[place], self._pace.most)
        if step.stuck:
            self._shelf.fail(at.number, step.stuck)
            return False
        if step.done and asked_once and not step.stray:
            return True
        self.stray_events += step.stray
        return self._keep(at, table.slice(rows.start, step.keep), step.done)

    def _take_odd(self, outcome: _Outcome, place: int, table: pa.Table, times: np.ndarray) -> bool:
        """A stream that is not in the order of time, or begins before it was asked to."""
        at = outcome.cursors[place]
        if len(times) >= outcome.counts[place]:
            self._shelf.fail(at.number, "a full page that is not in the order of time: cannot be paged")
            return False
        order = np.argsort(times, kind="stable")
        order = order[(times[order] >= at.start_ns) & (times[order] <= at.reach_ns)]
        self.stray_events += len(times) - len(order)
        step = advance(at, times[order], "", len(order) + 1, self._pace.most)
        return self._keep(at, table.take(pa.array(order)), step.done)

    def _keep(self, at: Cursor, rows: pa.Table, done: bool) -> bool:
        at.parts.append(rows)
        at.size += rows
        if at.events > self._max_events or at.size.besides_longest > self._max_bytes:
            raise Split(
                f"point {at.point.name!r} has more than {self._max_events} events in the span, or too long ones",
                crowded_ns(map(times_ns, at.parts)),
            )
        if not done:
            self._agenda.alone(at)
        return done

    def _refused(self, asked: Round, error: Exception) -> None:
        """A whole request failed: ask for less, or one by one, or give up."""
        if isinstance(error, TooMuch):
            if len(asked.cursors) == 1:
                self._too_much(asked, asked.cursors[0], asked.counts[0], error)
                return
            self._pace.refused(error, len(asked.cursors), max(asked.counts), asked.learned)
            if asked.together:
                self._agenda.again(asked.cursors)
            else:
                for at in asked.cursors:
                    self._agenda.alone(at)
            return
        personal = isinstance(error, Refused) or (isinstance(error, Trouble) and error.personal)
        if not personal:
            raise error
        if asked.together:
            if isinstance(error, Refused):
                self._streams.set_refused(error)
            else:
                self._streams.doubt(at.point.address for at in asked.cursors)
        else:
            self._pace.fewer(len(asked.cursors))
        for at in asked.cursors:
            self._agenda.alone(at)

    def _too_much(self, asked: Round, at: Cursor, count: int, error: TooMuch) -> None:
        """One point alone was too much: fewer events, then less time."""
        self._pace.refused(error, 1, count, asked.learned, at.reach_ns - at.start_ns)
        if error.reason == "url" or (error.reason == "body" and not self._smaller(at, count, _SHRINKS)):
            source = self._streams.transport.source
            raise Stop(f"source {source}: something before it refuses a request for one point ({error})")
        if error.reason == "items" and count <= 1:
            raise error
        if error.reason == "bytes" and count <= max(_LEAST, at.need):
            self._shelf.fail(at.number, f"what it has from {iso(at.start_ns)} on is too long: {error}")
            return
        if error.reason == "span" and not at.shrink(PARTS):
            self._shelf.fail(at.number, f"the source refuses this point: {error}")
            return
        if error.reason == "time" and self._pace.span_ns >= at.reach_ns - at.start_ns:  # else it is bounded anyway
            at.shrink(PARTS)
        at.need = min(at.need, self._pace.most)
        self._agenda.alone(at)

    def _fault(self, asked: Round, at: Cursor, count: int, error: Exception | None) -> None:
        """One stream of an answer could not be had, or not whole."""
        if asked.together:
            self._agenda.alone(at)
        elif isinstance(error, TooMuch):
            self._too_much(asked, at, count, error)
        elif isinstance(error, Refused):
            if not error.final and self._smaller(at, count, _SHRINKS):
                self._agenda.alone(at)
                return
            if isinstance(error, Denied):
                self._streams.doubt([at.point.address])  # a set with it is refused as a whole
                self.denied.add(at.point.id)
            self._shelf.fail(at.number, f"the source refuses this point: {error}")
        elif isinstance(error, Trouble):
            self._trouble(asked, at, count, error)
        elif at.slim:  # no Items where a stream was asked for: perhaps selectedFields took them away
            at.slim = False
            self._agenda.alone(at)
        else:
            self._shelf.fail(at.number, "the source answered without Items")

    def _smaller(self, at: Cursor, count: int, most: int) -> bool:
        """Whether it may help to ask for less: as long as that helps, and not more than `most` times in vain."""
        return at.shrunk < most and at.shrink(PARTS, count)

    def _trouble(self, asked: Round, at: Cursor, count: int, error: Trouble) -> None:
        """One stream failed in a way that may pass."""
        at.tries += 1
        if isinstance(error, TimedOut) and at.tries > 1:
            self._too_much(asked, at, count, TooMuch(str(error), "time"))
        elif error.status == 200 and not error.exhausted:
            self._undelivered(at, count, error)
        elif not error.exhausted and at.tries < _TRIES:
            patience = self._streams.transport.patience
            wait_s = error.after_s or min(patience.first_wait_s * 2**at.tries, patience.longest_wait_s)
            self._streams.transport.budget.pause(wait_s)
            self._agenda.alone(at)
        elif error.personal and self._smaller(at, count, _COSTLY):
            at.tries = _TRIES - 2
            self._agenda.alone(at)
        elif error.personal:
            self._shelf.fail(at.number, f"the source fails at this point: {error}")
        else:
            raise Retry(f"source {self._streams.transport.source}: {error}", error.after_s)

    def _undelivered(self, at: Cursor, count: int, error: Trouble) -> None:
        """The answer says itself that it is not whole: once more with all fields, then for less and less time."""
        if at.tries == 1 and at.slim:
            at.slim = False
        elif not self._smaller(at, count, _SHRINKS):
            self._shelf.fail(at.number, f"the source could not deliver this point: {error}")
            return
        self._agenda.alone(at)
