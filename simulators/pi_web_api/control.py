"""`/_plant/…`: what tests do to the plant behind the client's back. No part of PI Web API.

- `POST /_plant/faults` a fault or a list (faults.Fault); `GET` lists, `DELETE` clears
- `GET /_plant/stats`, `DELETE` sets to zero
- `POST /_plant/edits` a list of edits, or {"seed", "start", "end", "count", "points", "kinds"} for a generated set;
  answers what was done; `GET` lists all edits so far
- `POST /_plant/attributes` {"point", "set"} what further attributes of the point say, or {"digital_set", "states"}
- `POST /_plant/notes` {"point", "time", "texts"} what the annotations of the point's events at that stamp say
- `POST /_plant/points` {"op": "add" | "rename" | "retype" | "delete" | "conceal" | "reveal", "name", "to", …}; what is
  concealed the login may not see
- `POST /_plant/server` {"moved": "…"} the same points on a server of another GUID; registrations for updates are gone
- `POST /_plant/hide` {"start", "end"}; `DELETE` shows all again
- `POST /_plant/clock` {"advance_s"} moves the plant's present
- `GET /_plant/updates` how many streams are registered for updates; `DELETE` drops them all, as a restart does
- `GET /_plant/tokens` how many tokens the token endpoint gave out; `DELETE` makes them all worthless
- `GET /_plant/truth?point=…&start=…&end=…&hidden=1` the truth as an Arrow stream; no `point` takes all
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pyarrow as pa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.pi_web_api.catalogue import UnknownPointError
from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.editing import edited
from simulators.pi_web_api.faults import read_fault
from simulators.pi_web_api.truth import truth

if TYPE_CHECKING:
    from simulators.pi_web_api.gate import Gate

ARROW_STREAM = "application/vnd.apache.arrow.stream"
_Answer = Callable[[Request], Awaitable[Response]]


class Control:
    """The control endpoints of one server."""

    def __init__(self) -> None:
        self.gate: Gate | None = None  # set once the gate, which needs this application, exists
        self.app = Starlette(
            routes=[
                Route("/_plant/faults", _safe(self.faults), methods=["GET", "POST", "DELETE"]),
                Route("/_plant/stats", _safe(self.stats), methods=["GET", "DELETE"]),
                Route("/_plant/edits", _safe(self.edits), methods=["GET", "POST"]),
                Route("/_plant/attributes", _safe(self.attributes), methods=["POST"]),
                Route("/_plant/notes", _safe(self.notes), methods=["POST"]),
                Route("/_plant/points", _safe(self.points), methods=["POST"]),
                Route("/_plant/server", _safe(self.server), methods=["GET", "POST"]),
                Route("/_plant/hide", _safe(self.hide), methods=["GET", "POST", "DELETE"]),
                Route("/_plant/clock", _safe(self.clock), methods=["GET", "POST"]),
                Route("/_plant/updates", _safe(self.updates), methods=["GET", "DELETE"]),
                Route("/_plant/tokens", _safe(self.tokens), methods=["GET", "DELETE"]),
                Route("/_plant/truth", _safe(self.truth), methods=["GET"]),
            ]
        )

    @property
    def _gate(self) -> Gate:
        assert self.gate is not None
        return self.gate

    async def faults(self, request: Request) -> Response:
        """Adds, lists or clears faults."""
        faults = self._gate.faults
        if request.method == "POST":
            given = await request.json()
            faults.orders += [read_fault(each) for each in (given if isinstance(given, list) else [given])]
        if request.method == "DELETE":
            faults.orders.clear()
        left = [{"kind": order.kind, "times": order.times, "after": order.after} for order in faults.orders]
        return JSONResponse({"faults": left, "struck": faults.struck})

    async def stats(self, request: Request) -> Response:
        """What clients did since the start, or since the last DELETE."""
        gate = self._gate
        if request.method == "DELETE":
            gate.clear()
        return JSONResponse(
            {
                "requests": gate.requests,
                "max_requests_in_1s": gate.most_in_1s,
                "max_in_flight": gate.most_in_flight,
                "sub_requests": gate.sub_requests,
                "events_served": gate.service.events_served,
                "body_bytes": gate.body_bytes,
                "statuses": {str(status): count for status, count in sorted(gate.statuses.items())},
                "faults_struck": gate.faults.struck,
            }
        )

    async def edits(self, request: Request) -> Response:
        """Applies edits at once."""
        plant = self._gate.service.plant
        if request.method == "POST":
            return JSONResponse({"edits": edited(plant, await request.json())})
        return JSONResponse({"edits": [edit.told for edit in plant.edits]})

    async def attributes(self, request: Request) -> Response:
        """Changes attributes of a point, or the states that are listed of a digital set."""
        plant, given = self._gate.service.plant, await request.json()
        if "digital_set" in given:
            plant.digital_sets[given["digital_set"]] = tuple(given["states"])
        else:
            plant.attributes.setdefault(plant.catalogue.find(given["point"]).number, {}).update(given["set"])
        return JSONResponse({"edited": len(plant.attributes)})

    async def notes(self, request: Request) -> Response:
        """Changes annotations; which events have some say their flags, which are edited."""
        plant, given = self._gate.service.plant, await request.json()
        plant.notes[plant.catalogue.find(given["point"]).number, parse_iso(given["time"])] = list(given["texts"])
        return JSONResponse({"notes": len(plant.notes)})

    async def points(self, request: Request) -> Response:
        """Adds, renames, retypes, deletes, conceals or reveals a point."""
        plant, given = self._gate.service.plant, dict(await request.json())
        catalogue = plant.catalogue
        op, name = given.pop("op", ""), str(given.pop("name", ""))
        if op == "add":
            spec = catalogue.add(name, given)
        elif op == "rename":
            plant.birth(catalogue.find(name).number)
            spec = catalogue.rename(name, str(given["to"]))
        elif op == "retype":
            plant.birth(catalogue.find(name).number)
            spec = catalogue.retype(name, given)
            plant.retype(spec)
        elif op == "delete":
            plant.birth(catalogue.find(name).number)
            spec = catalogue.delete(name)
        elif op == "conceal":
            spec = catalogue.conceal(name)
        elif op == "reveal":
            spec = catalogue.reveal(name)
        else:
            raise ValueError(f"{op!r}: expected add, rename, retype, delete, conceal or reveal")
        return JSONResponse({"name": spec.name, "number": spec.number, "points": len(catalogue)})

    async def server(self, request: Request) -> Response:
        """Tells the server's GUID, or moves its points to another one."""
        service = self._gate.service
        if request.method == "POST":
            service.catalogue.move(str((await request.json())["moved"]))
            service.signups.clear()
        return JSONResponse({"guid": str(service.catalogue.guid)})

    async def hide(self, request: Request) -> Response:
        """Hides a window of every point, or shows all again."""
        plant = self._gate.service.plant
        if request.method == "POST":
            given = await request.json()
            plant.hide(parse_iso(given["start"]), parse_iso(given["end"]))
        if request.method == "DELETE":
            plant.unhide()
        return JSONResponse({"hidden": [[iso(start), iso(end)] for start, end in plant.hidden]})

    async def clock(self, request: Request) -> Response:
        """Moves the plant's present."""
        clock = self._gate.service.plant.clock
        if request.method == "POST":
            clock.advance(round(float((await request.json())["advance_s"]) * 1e9))
        return JSONResponse({"now": iso(clock.now_ns())})

    async def updates(self, request: Request) -> Response:
        """Tells how many streams are registered for updates, or drops all registrations."""
        signups = self._gate.service.signups
        if request.method == "DELETE":
            signups.clear()
        return JSONResponse({"registered": len(signups)})

    async def tokens(self, request: Request) -> Response:
        """Tells how many tokens were given out, or makes them worthless."""
        tokens = self._gate.tokens
        if request.method == "DELETE":
            tokens.revoke()
        return JSONResponse({"issued": tokens.issued})

    async def truth(self, request: Request) -> Response:
        """The truth of a window, [start, end)."""
        asked = request.query_params
        names = asked.getlist("point") or None
        start_ns, end_ns = parse_iso(asked["start"]), parse_iso(asked["end"])
        table = truth(self._gate.service.plant, names, start_ns, end_ns, asked.get("hidden") == "1")
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return Response(sink.getvalue().to_pybytes(), media_type=ARROW_STREAM)


def _safe(endpoint: _Answer) -> _Answer:
    """Turns what a test asked wrongly into a 400 that says so."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except (ValueError, TypeError, KeyError, UnknownPointError, json.JSONDecodeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    return answer
