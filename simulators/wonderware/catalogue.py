"""The tags of a plant: found by name whatever its case, added, renamed and deleted."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, get_args

from simulators.tds.rows import for_arrow
from simulators.wonderware.specs import IO_SERVER, NAME_CHARACTERS, Kind, Spec, default_spec


class UnknownTagError(LookupError):
    """No tag has this name or number."""


def folded(name: str) -> str:
    """The name as SQL Server compares it: whatever the case, trailing spaces aside."""
    return name.rstrip(" ").lower()


class Catalogue:
    """Tags by number (wwTagKey) and by name."""

    def __init__(self, seed: int, tags: int) -> None:
        self.specs: dict[int, Spec] = {number: default_spec(number, seed) for number in range(1, tags + 1)}
        self.first_names = {number: spec.name for number, spec in self.specs.items()}
        self.version = 0  # rises with every change
        self._numbers = {folded(spec.name): number for number, spec in self.specs.items() if not spec.deleted}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self) -> list[int]:
        """Tags that are not deleted, by number."""
        return sorted(self._numbers.values())

    def spec(self, number: int) -> Spec:
        """The tag with this number, deleted or not. Raises UnknownTagError."""
        try:
            return self.specs[number]
        except KeyError as error:
            raise UnknownTagError(f"There is no tag {number}.") from error

    def number(self, name: str) -> int | None:
        """The tag that now has this name, or None."""
        return self._numbers.get(folded(name))

    def find(self, name: str) -> Spec:
        """The tag that now has this name. Raises UnknownTagError."""
        number = self.number(name)
        if number is None:
            raise UnknownTagError(f"There is no tag {name!r}.")
        return self.specs[number]

    def add(self, name: str, given: dict[str, Any]) -> Spec:
        """A new tag; `given` may have kind, interval_s, unit, description, decimals, acquisition, tag_type.

        Raises ValueError.
        """
        name = for_arrow(name)
        kind: Kind = given.get("kind", "analog")
        if kind not in get_args(Kind):
            raise ValueError(f"{kind!r} is no kind of tag: expected {', '.join(get_args(Kind))}")
        with self._lock:
            self._check_free(name)
            number = max(self.specs, default=0) + 1
            spec = Spec(number=number, name=name, kind=kind, interval_s=float(given.get("interval_s", 60.0)))
            unit, description = for_arrow(given.get("unit", "")), for_arrow(given.get("description", ""))
            spec = replace(spec, unit=unit, description=description, decimals=int(given.get("decimals", 4)))
            spec = replace(spec, acquisition=int(given.get("acquisition", IO_SERVER)))
            spec = replace(spec, other_type=int(given.get("tag_type", 0)))
            if kind == "discrete":
                spec = replace(spec, messages=("Off", "On"))
            self.first_names[number] = name
            self._put(spec)
        return spec

    def rename(self, name: str, new: str) -> Spec:
        """The tag under another name, same wwTagKey. Raises UnknownTagError, ValueError."""
        old = self.find(name)
        with self._lock:
            if folded(new) != folded(name):
                self._check_free(new)
            del self._numbers[folded(name)]
            self._put(replace(old, name=new))
        return self.specs[old.number]

    def delete(self, name: str) -> Spec:
        """Takes the tag out of the configuration; its rows cannot be asked for any more. Raises UnknownTagError."""
        old = self.find(name)
        with self._lock:
            del self._numbers[folded(name)]
            self.specs[old.number] = replace(old, deleted=True)
            self.version += 1
        return self.specs[old.number]

    def _put(self, spec: Spec) -> None:
        self.specs[spec.number] = spec
        self._numbers[folded(spec.name)] = spec.number
        self.version += 1

    def _check_free(self, name: str) -> None:
        if not folded(name) or len(name) > NAME_CHARACTERS:
            raise ValueError(f"a tag's name has 1 to {NAME_CHARACTERS} characters")
        if folded(name) in self._numbers:
            raise ValueError(f"there is a tag {name!r} already")
