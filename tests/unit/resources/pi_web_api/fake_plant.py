"""A PI Web API in memory, small enough to be looked through: what paging and forms of asking are tried on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from pipelines.points import Kind, Point, point_id
from pipelines.ports import SourceTally
from pipelines.samples import times_ns
from pipelines.timeline import Interval, iso, parse
from resources.budget import Budget
from resources.pi_web_api.pace import Bounds
from resources.pi_web_api.source import PiWebApiSource
from resources.pi_web_api.transport import Patience, Transport

URL = "http://plant.test/piwebapi"
QUICK = Patience(tries=3, first_wait_s=0.0, longest_wait_s=0.001, read_s=1.0, whole_s=2.0)
Event = tuple[int, Any]
"""Time in ns and either a value or a dict of TimedValue's fields."""


@dataclass
class FakePlant:
    """`events` by WebId, in the order of time. Every request is kept in `asked`."""

    events: dict[str, list[Event]]
    most: int = 150_000
    per_call: bool = False  # maxCount counts over all streams of a set, and cuts without a word
    sets: bool = True
    batches: bool = True
    names_limit: bool = True
    drop: set[str] = field(default_factory=set)  # left out of sets
    mangle: Callable[[str, Any], Any] = lambda _, body: body  # of each answer that is none of an error
    intrude: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
    count_bad: bool = True
    asked: list[str] = field(default_factory=list)

    def source(self, bounds: Bounds | None = None, concurrency: int = 2, patience: Patience = QUICK) -> PiWebApiSource:
        wire = httpx.MockTransport(self.answer)
        budget = Budget(1e6)
        transport = Transport("pi1", URL, budget, concurrency=concurrency, patience=patience, wire=wire)
        return PiWebApiSource(transport, bounds=bounds)

    def points(self, kind: Kind = "number") -> list[Point]:
        return [Point(point_id(name), name, kind, f"g:{name}", name, "Float64") for name in self.events]

    def outcome(
        self, span: Interval, max_events: int, bounds: Bounds | None = None
    ) -> tuple[dict[str, list[Event]], dict[str, str], SourceTally]:
        """Events by point, failed points, and the tally of a source that has just pulled all points."""

        async def work() -> tuple[dict[str, list[Event]], dict[str, str], SourceTally]:
            source = self.source(bounds)
            found: dict[str, list[Event]] = {}
            failed: dict[str, str] = {}
            try:
                async for batch in source.pull(self.points(), span, max_events):
                    failed |= batch.failed
                    found |= {name: [] for name in batch.points}
                    columns = (batch.samples["point"].to_pylist(), times_ns(batch.samples).tolist())
                    for name, time_ns, value in zip(*columns, batch.samples["value"].to_pylist(), strict=True):
                        found[name].append((time_ns, value))
                return found, failed, await source.tally(self.points(), span)
            finally:
                await source.close()

        return asyncio.run(work())

    def answer(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        if target == "/piwebapi/system/status":  # whether it lives, of a server that is slow with all else
            return httpx.Response(200, json={"State": "Running"})
        self.asked.append(target)
        intruded = self.intrude(request)
        if intruded is not None:
            return intruded
        if target == "/piwebapi/batch":
            return self._batch(json.loads(request.content))
        status, body = self._one(target)
        return httpx.Response(status, json=body)

    def _batch(self, asked: dict[str, Any]) -> httpx.Response:
        if not self.batches:
            return httpx.Response(404, json={"Message": "No HTTP resource was found."})
        found = {}
        for name, each in asked.items():
            self.asked.append("  " + each["Resource"])
            status, body = self._one(each["Resource"])
            found[name] = {"Status": status, "Headers": {}, "Content": body}
        return httpx.Response(207, json=found)

    def _one(self, target: str) -> tuple[int, Any]:
        status, body = self._unspoilt(target)
        return status, self.mangle(target, body) if status == 200 else body

    def _unspoilt(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        path = [unquote(part) for part in parts.path.split("/")[2:]]
        pairs = parse_qsl(parts.query)
        query = dict(pairs)
        if path[0] == "dataservers":
            names = list(enumerate(self.events))
            listed = [{"WebId": name, "Id": at, "Name": name, "PointType": "Float64"} for at, name in names]
            server = {"WebId": "S", "Id": "g", "Name": "PISRV"}
            return 200, {"Items": [server] if len(path) == 1 else listed[int(query["startIndex"]) :]}
        if path[0] == "streams":
            return self._answers([path[1]], path[2], query, alone=True)
        if not self.sets:
            return 405, {"Message": "The requested resource does not support http method 'GET'."}
        return self._answers([text for name, text in pairs if name == "webId"], path[1], query, alone=False)

    def _answers(self, web_ids: list[str], action: str, query: dict[str, str], alone: bool) -> tuple[int, Any]:
        unknown = [web_id for web_id in web_ids if web_id not in self.events]
        if unknown:
            return 404, {"Errors": [f"PI Point not found: {unknown[0]}"]}
        low, high = parse(query["startTime"]), parse(query["endTime"])
        found = {web_id: [e for e in self.events[web_id] if low <= e[0] <= high] for web_id in web_ids}
        if action == "summary":
            answers = {web_id: self._summary(events) for web_id, events in found.items()}
        else:
            count = int(query["maxCount"])
            if count > self.most:
                named = f" ({self.most})" if self.names_limit else ""
                return 400, {"Errors": [f"Parameter 'maxCount' is greater than the maximum allowed{named}."]}
            answers = self._recorded(found, count)
        if alone:
            return 200, {"Items": answers[web_ids[0]]}
        kept = [web_id for web_id in sorted(web_ids, reverse=True) if web_id not in self.drop]
        return 200, {"Items": [{"WebId": web_id, "Items": answers[web_id]} for web_id in kept]}

    def _recorded(self, found: dict[str, list[Event]], count: int) -> dict[str, Any]:
        left, answers = count, {}
        for web_id, events in found.items():
            some = events[: left if self.per_call else count]
            left -= len(some)
            answers[web_id] = [timed(event) for event in some]
        return answers

    def _summary(self, events: list[Event]) -> list[dict[str, Any]]:
        values = [timed(event) for event in events]
        count = sum(1 for each in values if self.count_bad or each["Good"])
        return [{"Type": "Count", "Value": {"Value": count, "Good": True}}]


def timed(event: Event) -> dict[str, Any]:
    """A TimedValue."""
    time_ns, value = event
    fields = value if isinstance(value, dict) and "Good" in value else {"Value": value, "Good": True}
    return {"Timestamp": iso(time_ns), "Questionable": False, "Substituted": False, **fields}
