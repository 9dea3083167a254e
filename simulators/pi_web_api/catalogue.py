"""The plant's points by number, name and WebId; points may be added, renamed and deleted while clients read."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from simulators.pi_web_api import webids
from simulators.pi_web_api.specs import PI_TYPES, Spec, default_spec, usual_spec
from simulators.pi_web_api.states import DIGITAL_SETS

_NAMESPACE = uuid.UUID("8d6d2a1e-5c0b-4f0e-9a51-2f1c7a3f9b10")


class UnknownPointError(LookupError):
    """No point of that name, number or WebId."""


class Catalogue:
    """Points of one Data Archive. Names are found whatever their case, as in PI."""

    def __init__(self, server: str, seed: int, points: int, every_s: float = 0.0) -> None:
        self.server = server
        self.seed = seed
        self.guid = uuid.uuid5(_NAMESPACE, f"{server}/{seed}")
        self.first_names: dict[int, str] = {}
        self._specs: dict[int, Spec] = {}
        self._by_name: dict[str, int] = {}
        self._web_ids: dict[tuple[int, str], str] = {}
        self._unseen: set[int] = set()  # points that the login may not see
        for number in range(1, points + 1):
            self._put(default_spec(number, seed, every_s))

    def __len__(self) -> int:
        return len(self._specs)

    def numbers(self) -> list[int]:
        """Numbers of the points that exist, rising."""
        return sorted(self._specs)

    def spec(self, number: int) -> Spec:
        """The point of that number. Raises UnknownPointError."""
        try:
            return self._specs[number]
        except KeyError as error:
            raise UnknownPointError(f"PI Point not found: id {number}.") from error

    def listed(self) -> list[Spec]:
        """The points that the login may see, by number."""
        return [self._specs[number] for number in self.numbers() if number not in self._unseen]

    def seen(self, number: int) -> Spec:
        """The point of that number. Raises UnknownPointError, also where the login may not see it."""
        if number in self._unseen:
            raise UnknownPointError(f"PI Point not found: id {number}.")
        return self.spec(number)

    def conceal(self, name: str) -> Spec:
        """Takes the point from the login's sight; it goes on as it is. Raises UnknownPointError."""
        spec = self.find(name)
        self._unseen.add(spec.number)
        return spec

    def reveal(self, name: str) -> Spec:
        """Shows it again. Raises UnknownPointError."""
        spec = self.find(name)
        self._unseen.discard(spec.number)
        return spec

    def move(self, to: str) -> None:
        """As on another server, of another GUID: it has the same points, and no WebId of before holds."""
        self.guid = uuid.uuid5(_NAMESPACE, f"{self.server}/{self.seed}/{to}")
        self._web_ids.clear()

    def find(self, name: str | int) -> Spec:
        """The point of that name or number. Raises UnknownPointError."""
        if isinstance(name, int):
            return self.spec(name)
        number = self._by_name.get(name.upper())
        if number is None:
            raise UnknownPointError(f"PI Point not found '\\\\{self.server}\\{name}'.")
        return self._specs[number]

    def path(self, spec: Spec) -> str:
        """`\\\\SERVER\\TAG`."""
        return f"\\\\{self.server}\\{spec.name}"

    def by_path(self, path: str) -> Spec:
        """The point at `\\\\SERVER\\TAG`, leading backslashes optional. Raises UnknownPointError."""
        server, _, name = path.lstrip("\\").partition("\\")
        if server.upper() != self.server.upper():
            raise UnknownPointError(f"PI Data Archive '{server}' not found.")
        return self.seen(self.find(name).number)

    def web_id(self, spec: Spec, kind: str) -> str:
        """The point's WebId of kind Full, IDOnly or PathOnly."""
        key = (spec.number, kind)
        found = self._web_ids.get(key)
        if found is None:
            path = f"{self.server}\\{spec.name}"
            found = self._web_ids[key] = webids.of_point(kind, self.guid, spec.number, path)
        return found

    def web_ids(self, name: str) -> set[str]:
        """Every WebId of the point, none for no name. Raises UnknownPointError."""
        return {self.web_id(self.find(name), kind) for kind in webids.TYPES} if name else set()

    def by_web_id(self, web_id: str) -> Spec:
        """The point that a WebId names. Raises webids.WebIdError for a bad one, UnknownPointError for a stranger."""
        target = webids.read(web_id)
        if target.marker != "DP":
            raise webids.WebIdError("The specified WebID is not a PI Point.")
        if target.server is None:
            return self.by_path(target.path)
        if target.server != self.guid:
            raise UnknownPointError("The PI Data Archive of the specified WebID was not found.")
        return self.seen(target.number)

    def is_server(self, web_id: str) -> bool:
        """True where the WebId names this Data Archive. Raises webids.WebIdError."""
        target = webids.read(web_id)
        return target.marker == "DS" and (
            target.server == self.guid or (target.server is None and target.path == self.server.upper())
        )

    def add(self, name: str, given: dict[str, Any]) -> Spec:
        """A new point under the next free number; `given` overrides fields of Spec. Raises ValueError."""
        if name.upper() in self._by_name:
            raise ValueError(f"{name!r} exists")
        if given.get("pi_type", "Float32") not in PI_TYPES:
            raise ValueError(f"{given['pi_type']!r} is no PI type: expected one of {', '.join(PI_TYPES)}")
        number = max([0, *self._specs, *self.first_names]) + 1
        spec = replace(usual_spec(number, self.seed), **{"pi_type": "Float32", "digital_set": "", **given})
        if spec.pi_type == "Digital" and not spec.digital_set:
            spec = replace(spec, digital_set="OnOff")
        spec = replace(spec, number=number, name=name)
        self._put(spec)
        return spec

    def rename(self, old: str, new: str) -> Spec:
        """The point under a new name; its number stays. Raises UnknownPointError, and ValueError for a taken name."""
        spec = self.find(old)
        if self._by_name.get(new.upper(), spec.number) != spec.number:
            raise ValueError(f"{new!r} exists")
        self._forget(spec)
        renamed = replace(spec, name=new)
        self._put(renamed)
        return renamed

    def retype(self, name: str, given: dict[str, Any]) -> Spec:
        """The point with other fields of Spec, such as pi_type, digital_set and unit. Raises UnknownPointError, and
        ValueError for a type or a set that there is not."""
        spec = replace(self.find(name), **given)
        if spec.pi_type not in PI_TYPES or (spec.pi_type == "Digital" and spec.digital_set not in DIGITAL_SETS):
            raise ValueError(f"{spec.pi_type!r} with the set {spec.digital_set!r}: no such type or set")
        self._specs[spec.number] = spec
        return spec

    def delete(self, name: str) -> Spec:
        """Takes the point away, and returns what it was. Raises UnknownPointError."""
        spec = self.find(name)
        self._forget(spec)
        return spec

    def _put(self, spec: Spec) -> None:
        self._specs[spec.number] = spec
        self._by_name[spec.name.upper()] = spec.number
        self.first_names.setdefault(spec.number, spec.name)

    def _forget(self, spec: Spec) -> None:
        del self._specs[spec.number]
        del self._by_name[spec.name.upper()]
        for kind in webids.TYPES:
            self._web_ids.pop((spec.number, kind), None)
