"""The plant: events of any point and day, from the seed, with edits and hidden windows laid over them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from simulators.pi_web_api.catalogue import Catalogue
from simulators.pi_web_api.clock import Clock
from simulators.pi_web_api.coercion import coerced
from simulators.pi_web_api.edits import Edit, applied
from simulators.pi_web_api.events import DAY_NS, NOTHING, TICK_NS, Events, joined
from simulators.pi_web_api.oddities import created, with_oddities
from simulators.pi_web_api.precision import narrowed
from simulators.pi_web_api.settings import Settings
from simulators.pi_web_api.signals import day_of_events, dice
from simulators.pi_web_api.specs import Spec
from simulators.pi_web_api.states import DIGITAL_SETS

_FUTURE_NS = 30 * DAY_NS  # how far future points reach beyond the others
_FAR_NS = 1 << 62


class Plant:
    """Events by point number and UTC day, made when asked for and kept within a bound."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(settings.zone, settings.clock_ns)
        self.catalogue = Catalogue(settings.server, settings.seed, settings.points, settings.every_s)
        self.edits: list[Edit] = []
        self.hidden: list[tuple[int, int]] = []
        self.attributes: dict[int, dict[str, Any]] = {}  # that were edited, by point
        self.digital_sets = dict(DIGITAL_SETS)  # as the archive lists them; history keeps the states that it has
        self.notes: dict[tuple[int, int], list[Any]] = {}  # annotations that were edited, by point and stamp
        self.changed: list[Callable[[int | None, int], None]] = []  # told of (point or None for all, day)
        self._edits: dict[int, dict[int, list[Edit]]] = {}  # by point, by day
        self._journals: dict[int, list[Edit]] = {}  # by point
        self._specs: dict[int, Spec] = {}  # as points were born: a rename or deletion changes no history
        self._eras: dict[int, list[tuple[int, Spec]]] = {}  # of retyped points: since when (ns) they are what
        self._kept: OrderedDict[tuple[int, int], Events] = OrderedDict()
        self._kept_bytes = 0

    def birth(self, number: int) -> Spec:
        """The specification that the point's events come from. Raises UnknownPointError for a number never used."""
        spec = self._specs.get(number)
        if spec is None:
            spec = self._specs[number] = self.catalogue.spec(number)
        return spec

    def span(self, number: int) -> tuple[int, int]:
        """[start, end) in ns outside of which the point has only events that edits added."""
        settings = self.settings
        end_ns = settings.end_ns + (_FUTURE_NS if self.birth(number).future else 0)
        return settings.start_ns, end_ns

    def days(self, number: int, start_ns: int, last_ns: int) -> range:
        """The days with possible events in [start, last], both included."""
        first, end = self.span(number)
        edited = self._edits.get(number, {})
        low = min([first // DAY_NS, *edited])
        high = max([(end - 1) // DAY_NS, *edited])
        return range(max(start_ns // DAY_NS, low), min(last_ns // DAY_NS, high) + 1)

    def last_visible_ns(self, number: int) -> int:
        """The latest time at which an event of the point can be seen now."""
        if self.settings.live and not self.birth(number).future:
            return self.clock.now_ns()
        return _FAR_NS

    def events(self, number: int, day: int) -> Events:
        """The point's events of a day (days since 1970) as they stand now."""
        key = (number, day)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        events = self._visible(self.unhidden(number, day), day)
        self._kept[key] = events
        self._kept_bytes += events.size_bytes
        while self._kept_bytes > self.settings.columns_bytes and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._kept_bytes -= old.size_bytes
        return events

    def unhidden(self, number: int, day: int) -> Events:
        """The point's events of a day with edits, whatever is hidden; not kept."""
        events = self._born(number, day)
        for edit in self._edits.get(number, {}).get(day, ()):
            events = applied(events, edit)
        eras = self._eras.get(number)
        spec = eras[-1][1] if eras else self.birth(number)
        return narrowed(coerced(events, spec) if eras else events, spec.pi_type)

    def window(self, number: int, start_ns: int, last_ns: int) -> Events:
        """The point's events in [start, last], both ends included."""
        last_ns = min(last_ns, self.last_visible_ns(number))
        return joined(
            [self.events(number, day).between(start_ns, last_ns + 1) for day in self.days(number, start_ns, last_ns)]
        )

    def count(self, number: int, start_ns: int, last_ns: int) -> int:
        """How many events `window` would hold."""
        last_ns = min(last_ns, self.last_visible_ns(number))
        total = 0
        for day in self.days(number, start_ns, last_ns):
            low, high = np.searchsorted(self.events(number, day).times, (start_ns, last_ns + 1))
            total += int(high - low)
        return total

    def before(self, number: int, time_ns: int) -> Events:
        """The last event before `time_ns`, or none."""
        days = self.days(number, -_FAR_NS, time_ns - 1)
        return self._first_of(number, reversed(days), -_FAR_NS, time_ns, -1)

    def after(self, number: int, time_ns: int) -> Events:
        """The first event after `time_ns`, or none."""
        days = self.days(number, time_ns + 1, _FAR_NS)
        return self._first_of(number, iter(days), time_ns + 1, self.last_visible_ns(number) + 1, 0)

    def edit(self, edits: list[Edit]) -> None:
        """Applies edits, in order, at once."""
        for edit in edits:
            day = edit.time_ns // DAY_NS
            self.edits.append(edit)
            self._journals.setdefault(edit.number, []).append(edit)
            self._edits.setdefault(edit.number, {}).setdefault(day, []).append(edit)
            self._drop(edit.number, day)

    def journal(self, number: int) -> Sequence[Edit]:
        """All edits of a point so far, in the order in which they were applied."""
        return self._journals.get(number, ())

    def removed(self, edit: Edit) -> Events:
        """The event that an applied edit removed or changed, as it stood before."""
        day = edit.time_ns // DAY_NS
        events = self._born(edit.number, day)
        for earlier in self._edits[edit.number][day]:
            if earlier is edit:
                break
            events = applied(events, earlier)
        return events.between(edit.time_ns, edit.time_ns + 1).take(slice(edit.tie, edit.tie + 1))

    def retype(self, spec: Spec) -> None:
        """From now on the point's events come about as `spec` says; those before are shown under its type."""
        self._eras.setdefault(spec.number, []).append((self.clock.now_ns(), spec))
        for day in self.days(spec.number, -_FAR_NS, _FAR_NS):
            self._drop(spec.number, day)

    def hide(self, start_ns: int, end_ns: int) -> None:
        """Makes [start, end) empty for every point, as an archive that is not mounted does."""
        self.hidden.append((start_ns, end_ns))
        self._drop_days(start_ns, end_ns)

    def unhide(self) -> None:
        """Shows all again."""
        hidden, self.hidden = self.hidden, []
        for start_ns, end_ns in hidden:
            self._drop_days(start_ns, end_ns)

    def _born(self, number: int, day: int) -> Events:
        edges = [(-_FAR_NS, self.birth(number)), *self._eras.get(number, ()), (_FAR_NS, None)]
        parts = []
        for (since_ns, spec), (until_ns, _) in pairwise(edges):
            if spec and since_ns < (day + 1) * DAY_NS and day * DAY_NS < until_ns:
                parts.append(self._born_as(spec, day).between(since_ns, until_ns))
        return joined(parts)

    def _born_as(self, spec: Spec, day: int) -> Events:
        number = spec.number
        start_ns, end_ns = self.span(number)
        if spec.interval_s <= 0 or (day + 1) * DAY_NS <= start_ns or day * DAY_NS >= end_ns:
            return NOTHING
        settings = self.settings
        draw = dice(settings.seed, number, day, "oddities")
        events = day_of_events(spec, settings.seed, day)
        events = narrowed(with_oddities(spec, events, draw, day, settings.nonfinite != "none"), spec.pi_type)
        if day == start_ns // DAY_NS:
            events = created(spec, events.between(start_ns, end_ns), start_ns)
        return events.between(start_ns, end_ns) if (day + 1) * DAY_NS > end_ns else events

    def _visible(self, events: Events, day: int) -> Events:
        for start_ns, end_ns in self.hidden:
            if start_ns < (day + 1) * DAY_NS and day * DAY_NS < end_ns:
                events = events.take((events.times < start_ns) | (events.times >= end_ns))
        return events

    def _first_of(self, number: int, days: Iterator[int], low_ns: int, high_ns: int, place: int) -> Events:
        for day in days:
            found = self.events(number, day).between(low_ns, high_ns)
            if len(found):
                return found.take(slice(len(found) - 1, None) if place else slice(0, 1))
        return NOTHING

    def _drop_days(self, start_ns: int, end_ns: int) -> None:
        for number, day in list(self._kept):
            if start_ns < (day + 1) * DAY_NS and day * DAY_NS < end_ns:
                self._drop(number, day)
        for told in self.changed:
            for day in range(start_ns // DAY_NS, (end_ns - TICK_NS) // DAY_NS + 1):
                told(None, day)

    def _drop(self, number: int, day: int) -> None:
        old = self._kept.pop((number, day), None)
        if old is not None:
            self._kept_bytes -= old.size_bytes
        for told in self.changed:
            told(number, day)
