"""Streams signed up for updates, and which changes lie between a marker and the present.

A marker is `cache_number`: `cache` names one registration of one stream, `number` counts the changes before it. What
it stands for is a position: so many edits of the point's journal, and events up to a plant time. Nothing is queued:
changes are worked out when asked for. An edit of an event that was later than the position is no change of its own;
the event is told once it is visible, as it stands then.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulators.pi_web_api.catalogue import UnknownPointError
from simulators.pi_web_api.edits import Edit
from simulators.pi_web_api.events import Events
from simulators.pi_web_api.exchange import RefusalError
from simulators.pi_web_api.plant import Plant
from simulators.pi_web_api.specs import Spec

_MARKER = re.compile(r"([0-9a-f]{32})_(0|[1-9][0-9]{0,17})")
ACTIONS = {"add": "Add", "change": "Update", "remove": "Delete"}


@dataclass(frozen=True, slots=True)
class Position:
    """Told so far: that many edits of the point's journal, and events up to a plant time (included)."""

    edits: int
    upto_ns: int


@dataclass(slots=True)
class Signup:
    """One registered stream. `head` changes happened since; `positions` by the number of changes before them."""

    spec: Spec  # as last seen, for the answer about a deleted point
    positions: dict[int, Position]
    head: int = 0
    cache: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def marker(self) -> str:
        """The marker of the present, as of the last `Signups.advance`."""
        return f"{self.cache}_{self.head}"


class Signups:
    """Registrations by point; in memory only, so that `clear` is what a restart does."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._by_point: dict[int, Signup] = {}
        self._by_cache: dict[str, Signup] = {}

    def __len__(self) -> int:
        return len(self._by_point)

    def clear(self) -> None:
        """Forgets every registration; their markers are unknown from now on."""
        self._by_point.clear()
        self._by_cache.clear()

    def register(self, spec: Spec) -> tuple[Signup, bool]:
        """The stream's registration with its marker at the present, and whether it is new."""
        signup = self._by_point.get(spec.number)
        if signup is not None:
            self.advance(signup)
            return signup, False
        now = Position(len(self._plant.journal(spec.number)), self._plant.last_visible_ns(spec.number))
        signup = Signup(spec, {0: now})
        self._by_point[spec.number] = self._by_cache[signup.cache] = signup
        return signup, True

    def find(self, marker: str) -> tuple[Signup, int]:
        """The registration and the number of a marker. Raises RefusalError 404 or 409."""
        match = _MARKER.fullmatch(marker.lower())
        if match is None:
            raise RefusalError(409, f"The marker '{marker}' is invalid.")
        signup = self._by_cache.get(match.group(1))
        if signup is None:
            raise RefusalError(404, f"The cache of marker '{marker}' was not found. Register the stream again.")
        return signup, int(match.group(2))

    def current(self, signup: Signup) -> bool:
        """True where the point still exists, under whatever name; if not, its registration ends."""
        try:
            signup.spec = self._plant.catalogue.seen(signup.spec.number)
        except UnknownPointError:
            del self._by_point[signup.spec.number], self._by_cache[signup.cache]
            return False
        return True

    def advance(self, signup: Signup) -> None:
        """Moves the head to the present and drops positions that are more changes behind than are kept."""
        plant, number = self._plant, signup.spec.number
        old, kept = signup.positions[signup.head], plant.settings.updates_kept
        # A clock that was set back must not tell events twice.
        upto_ns = max(old.upto_ns, plant.last_visible_ns(number))
        new = Position(len(plant.journal(number)), upto_ns)
        changes = sum(1 for _ in self._edited(number, old, new))
        for events in self._appeared(number, old, new):
            changes += len(events)
            if changes > kept:
                break  # nothing older is valid any more, however many they are
        # Without a change both positions say the same, and the head moves under its old number: so there are never
        # more positions than changes, and a marker that is asked for again and again stays valid.
        signup.head += changes
        signup.positions[signup.head] = new
        for place in [place for place in signup.positions if place < signup.head - kept]:
            del signup.positions[place]

    def since(self, signup: Signup, number: int) -> tuple[list[Edit], list[Events]]:
        """Changes from a marker's number to the head: edits as applied, then events as time went on, day by day.

        Raises RefusalError 409 for a number that is no longer kept, or never was.
        """
        old, head = signup.positions.get(number), signup.positions[signup.head]
        if old is None:
            text = f"The marker '{signup.cache}_{number}' is invalid: older than the updates held, or never given."
            raise RefusalError(409, text)
        point = signup.spec.number
        return list(self._edited(point, old, head)), list(self._appeared(point, old, head))

    def _edited(self, number: int, old: Position, new: Position) -> Iterator[Edit]:
        for edit in self._plant.journal(number)[old.edits : new.edits]:
            if edit.time_ns <= old.upto_ns:
                yield edit

    def _appeared(self, number: int, old: Position, new: Position) -> Iterator[Events]:
        # Hiding is an archive that is not mounted: it neither takes events back nor keeps new ones from being told.
        read = self._plant.unhidden if self._plant.hidden else self._plant.events
        for day in self._plant.days(number, old.upto_ns + 1, new.upto_ns):
            events = read(number, day).between(old.upto_ns + 1, new.upto_ns + 1)
            if len(events):
                yield events
