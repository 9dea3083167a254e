"""`EXEC ferry_plant @op, @json`: what tests do to the plant behind the client's back. No part of a real Historian.

Times are ISO 8601 with Z, in UTC. Every operation but `truth` answers rows of one column `json`.

- `edits` {"seed", "count", "start", "end", "kinds", "points"} for a generated set, or {"edits": [{"point", "op",
  "time", "tie", "value", "quality", "detail", "opc"}]} with op add, change or remove; a row for each edit that was done
- `edits_so_far` {}
- `hide` {"start", "end"}, `unhide` {}
- `tags` {"op": "add" | "rename" | "delete", "name", "to", "kind", "interval_s", "unit", "description",
  "acquisition", "tag_type"}
- `faults` a fault (faults.Fault) or {"faults": [...]}; `faults_left` {}, `faults_clear` {}
- `stats` {}, `stats_reset` {}
- `clock` {"advance_s"}
- `truth` {"start", "end", "points", "hidden", "system"}: one row, one column `truth` varbinary(max), an Arrow stream
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from simulators.pi_web_api.clock import iso, parse_iso
from simulators.tds.columns import Column
from simulators.tds.database import SqlError
from simulators.wonderware.catalogue import UnknownTagError
from simulators.wonderware.editing import edited
from simulators.wonderware.faults import Faults, read_fault
from simulators.wonderware.plant import Plant
from simulators.wonderware.truth import truth

PROCEDURE = "ferry_plant"
REFUSED = 50_000  # as RAISERROR of a procedure
_Row = dict[str, Any]


class Tally(Protocol):
    """What clients did."""

    logins: int
    statements: int
    history_statements: int
    rows: int
    bytes: int
    most_in_flight: int

    def reset(self) -> None: ...


class Control:
    """The operations over one plant."""

    def __init__(self, plant: Plant, faults: Faults, counts: Tally) -> None:
        self._plant, self._faults, self._counts = plant, faults, counts
        self._operations: dict[str, Callable[[_Row], list[_Row]]] = {
            "edits": lambda given: edited(plant, given),
            "edits_so_far": lambda given: [edit.told for edit in plant.edits],
            "hide": self._hide,
            "unhide": self._unhide,
            "tags": self._tags,
            "faults": self._order,
            "faults_left": lambda given: self._orders(),
            "faults_clear": self._clear,
            "stats": lambda given: [self._stats()],
            "stats_reset": self._reset,
            "clock": self._clock,
        }

    def run(self, operation: str, text: str) -> tuple[list[Column], pa.Table]:
        """Runs an operation. Raises SqlError 50000 with what was wrong."""
        try:
            given = json.loads(text or "{}")
            if operation == "truth":
                return [Column("truth", "varbinary", 0)], pa.table(
                    {"truth": pa.array([self._truth(given)], pa.binary())}
                )
            if operation not in self._operations:
                raise ValueError(f"{operation!r}: expected {', '.join([*self._operations, 'truth'])}")
            rows = [json.dumps(row, ensure_ascii=False) for row in self._operations[operation](given)]
        except (ValueError, TypeError, KeyError, UnknownTagError) as error:
            raise SqlError(REFUSED, f"{type(error).__name__}: {error}") from error
        return [Column("json", "nvarchar", 0)], pa.table({"json": pa.array(rows, pa.string())})

    def _hide(self, given: _Row) -> list[_Row]:
        self._plant.hide(parse_iso(given["start"]), parse_iso(given["end"]))
        return self._hidden()

    def _unhide(self, given: _Row) -> list[_Row]:
        del given
        self._plant.unhide()
        return self._hidden()

    def _hidden(self) -> list[_Row]:
        return [{"hidden": [[iso(start), iso(end)] for start, end in self._plant.hidden]}]

    def _tags(self, given: _Row) -> list[_Row]:
        operation, name = given.get("op", ""), str(given.get("name", ""))
        if operation == "add":
            spec = self._plant.catalogue.add(name, given)
        elif operation == "rename":
            spec = self._plant.rename(name, str(given["to"]))
        elif operation == "delete":
            spec = self._plant.delete(name)
        else:
            raise ValueError(f"{operation!r}: expected add, rename or delete")
        return [{"name": spec.name, "number": spec.number, "points": len(self._plant.catalogue)}]

    def _order(self, given: _Row) -> list[_Row]:
        self._faults.orders += [read_fault(each) for each in given.get("faults", [given])]
        return self._orders()

    def _orders(self) -> list[_Row]:
        left = [{"kind": each.kind, "times": each.times, "after": each.after} for each in self._faults.orders]
        return [{"faults": left, "struck": self._faults.struck}]

    def _clear(self, given: _Row) -> list[_Row]:
        del given
        self._faults.orders.clear()
        return self._orders()

    def _stats(self) -> _Row:
        counts = self._counts
        names = ("logins", "statements", "history_statements", "rows", "bytes", "most_in_flight")
        return {name: getattr(counts, name) for name in names} | {"faults_struck": self._faults.struck}

    def _reset(self, given: _Row) -> list[_Row]:
        del given
        told = self._stats()
        self._counts.reset()
        return [told]

    def _clock(self, given: _Row) -> list[_Row]:
        self._plant.clock.advance(round(float(given.get("advance_s", 0)) * 1e9))
        return [{"now": iso(self._plant.clock.now_ns())}]

    def _truth(self, given: _Row) -> bytes:
        start_ns, end_ns = parse_iso(given["start"]), parse_iso(given["end"])
        hidden, system = bool(given.get("hidden", False)), bool(given.get("system", True))
        table = truth(self._plant, start_ns, end_ns, given.get("points"), hidden=hidden, system=system)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        data: bytes = sink.getvalue().to_pybytes()
        return data
