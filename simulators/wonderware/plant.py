"""The plant: rows of any tag and day, from the seed, with edits and hidden windows laid over them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from simulators.pi_web_api.clock import Clock
from simulators.pi_web_api.signals import dice
from simulators.wonderware.catalogue import Catalogue
from simulators.wonderware.edits import Edit, applied
from simulators.wonderware.events import DAY_NS, NOTHING, TICK_NS, Events, Version, joined
from simulators.wonderware.oddities import begun, with_oddities
from simulators.wonderware.settings import Settings
from simulators.wonderware.signals import day_of_events
from simulators.wonderware.specs import Spec

FAR_NS = 1 << 62


class Plant:
    """Events by tag number and UTC day, made when asked for and kept within a bound. Safe to use from threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(settings.zone, settings.clock_ns)
        self.catalogue = Catalogue(settings.seed, settings.points)
        self.edits: list[Edit] = []
        self.hidden: list[tuple[int, int]] = []
        self.changed: list[Callable[[int | None, int | None], None]] = []  # told of (tag or all, day or all)
        self._edits: dict[int, dict[int, list[Edit]]] = {}  # by tag, by day
        self._births: dict[int, Spec] = {}  # as tags were born: a rename or deletion changes no history
        self._kept: OrderedDict[tuple[int, int], Events] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.RLock()

    def birth(self, number: int) -> Spec:
        """The specification that the tag's rows come from. Raises UnknownTagError for a number never used."""
        spec = self._births.get(number)
        if spec is None:
            spec = self._births[number] = self.catalogue.spec(number)
        return spec

    def days(self, number: int, start_ns: int, last_ns: int) -> range:
        """The UTC days with possible rows in [start, last], both included."""
        settings = self.settings
        edited = self._edits.get(number, {})
        low = min([settings.start_ns // DAY_NS, *edited])
        high = max([(settings.end_ns - 1) // DAY_NS, *edited])
        return range(max(start_ns // DAY_NS, low), min(last_ns // DAY_NS, high) + 1)

    def last_visible_ns(self) -> int:
        """The latest time at which a row can be seen now."""
        return self.clock.now_ns() if self.settings.live else FAR_NS

    def events(self, number: int, day: int) -> Events:
        """The tag's rows of a day (days since 1970) in all versions, as they stand now; not to be written to."""
        key = (number, day)
        with self._lock:
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
        """The tag's rows of a day with edits, whatever is hidden; not kept."""
        events = self._born(number, day)
        for edit in self._edits.get(number, {}).get(day, ()):
            events = applied(events, edit)
        return events

    def window(self, number: int, start_ns: int, last_ns: int, version: Version = Version.LATEST) -> Events:
        """The tag's rows of one version in [start, last], both ends included."""
        last_ns = min(last_ns, self.last_visible_ns())
        days = self.days(number, start_ns, last_ns)
        return joined([self.events(number, day).between(start_ns, last_ns + 1).version(version) for day in days])

    def before(self, number: int, time_ns: int, version: Version = Version.LATEST) -> Events:
        """The last row of a version before `time_ns`, or none."""
        last_ns = min(time_ns - 1, self.last_visible_ns())
        for day in reversed(self.days(number, -FAR_NS, last_ns)):
            found = self.events(number, day).between(-FAR_NS, last_ns + 1).version(version)
            if len(found):
                return found.take(slice(len(found) - 1, None))
        return NOTHING

    def edit(self, edits: Iterable[Edit]) -> None:
        """Applies edits, in order, at once."""
        with self._lock:
            for edit in edits:
                day = edit.time_ns // DAY_NS
                self.edits.append(edit)
                self._edits.setdefault(edit.number, {}).setdefault(day, []).append(edit)
                self._drop(edit.number, day)
                self._tell(edit.number, day)

    def hide(self, start_ns: int, end_ns: int) -> None:
        """Makes [start, end) empty for every tag, as history blocks that are offline do."""
        with self._lock:
            self.hidden.append((start_ns, end_ns))
            self._drop_days(start_ns, end_ns)

    def unhide(self) -> None:
        """Shows all again."""
        with self._lock:
            hidden, self.hidden = self.hidden, []
            for start_ns, end_ns in hidden:
                self._drop_days(start_ns, end_ns)

    def rename(self, name: str, new: str) -> Spec:
        """The tag under another name. Raises UnknownTagError, ValueError."""
        number = self.catalogue.find(name).number
        self.birth(number)
        spec = self.catalogue.rename(name, new)
        self._tell(number, None)
        return spec

    def delete(self, name: str) -> Spec:
        """Takes a tag out of the configuration. Raises UnknownTagError."""
        self.birth(self.catalogue.find(name).number)
        return self.catalogue.delete(name)

    def _born(self, number: int, day: int) -> Events:
        spec, settings = self.birth(number), self.settings
        start_ns, end_ns = settings.start_ns, settings.end_ns
        if spec.interval_s <= 0 or (day + 1) * DAY_NS <= start_ns or day * DAY_NS >= end_ns:
            return NOTHING
        draw = dice(settings.seed, number, day, "oddities")
        events = with_oddities(spec, day_of_events(spec, settings.seed, day), draw, day)
        if day == start_ns // DAY_NS:
            events = begun(spec, events.between(start_ns, end_ns), start_ns)
        return events.between(start_ns, end_ns) if (day + 1) * DAY_NS > end_ns else events

    def _visible(self, events: Events, day: int) -> Events:
        for start_ns, end_ns in self.hidden:
            if start_ns < (day + 1) * DAY_NS and day * DAY_NS < end_ns:
                events = events.take((events.times < start_ns) | (events.times >= end_ns))
        return events

    def _drop_days(self, start_ns: int, end_ns: int) -> None:
        for number, day in list(self._kept):
            if start_ns < (day + 1) * DAY_NS and day * DAY_NS < end_ns:
                self._drop(number, day)
        for day in range(start_ns // DAY_NS, (end_ns - TICK_NS) // DAY_NS + 1):
            self._tell(None, day)

    def _drop(self, number: int, day: int) -> None:
        old = self._kept.pop((number, day), None)
        if old is not None:
            self._kept_bytes -= old.size_bytes

    def _tell(self, number: int | None, day: int | None) -> None:
        for told in self.changed:
            told(number, day)
