"""The PI stand-in as a real server process: everything that facts/historians.md 1.16 asks of it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pyarrow as pa
import pytest

from pipelines.samples import NO_CODE, SCHEMA, number_ties, samples_table, tally
from simulators.pi_web_api import Plant, Settings, truth
from simulators.pi_web_api.clock import iso, parse_iso
from simulators.pi_web_api.events import DAY_NS, HOUR_NS, TICK_NS

START = parse_iso("2026-01-01T00:00:00Z")
DAY = {"startTime": iso(START), "endTime": iso(START + DAY_NS - TICK_NS)}
ALL = {**DAY, "maxCount": "150000"}
CSRF = {"X-Requested-With": "test"}
POINTS, HOURS = 220, 36
SYSTEM_QUALITY = {210: 4, 240: 4, 248: 8, 253: 8, 233: 12, 255: 12, 214: 16, 215: 16, 246: 24, 213: 28, 238: 28,
                  245: 28, 254: 28}  # fmt: skip
NUMERIC = ("Int16", "Int32", "Float16", "Float32", "Float64")

Start = Callable[..., httpx.Client]


@contextlib.contextmanager
def running(*options: str, **environment: str) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "simulators.pi_web_api", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:") and line.endswith("/piwebapi\n")
        try:
            with httpx.Client(base_url=line.split()[-1], timeout=30) as client:
                yield client
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def server() -> Iterator[httpx.Client]:
    with running("--points", str(POINTS), "--hours", str(HOURS)) as client:
        yield client


@pytest.fixture(scope="module")
def small() -> Iterator[httpx.Client]:
    """A server for what changes its state."""
    with running("--points", "40", "--hours", "24", "--max-items", "2000", "--auth", "none") as client:
        yield client


@pytest.fixture(scope="module")
def variant() -> Iterator[httpx.Client]:
    """A server that reads every unverified fact the other way."""
    options = ("--max-items", "2000", "--limit-scope", "per_stream", "--count-good-only", "--nonfinite", "tokens")
    with running("--points", "1100", "--hours", "24", *options) as client:
        yield client


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with a past, a present and a zone of its own, behind a token."""
    path = tmp_path_factory.mktemp("edits") / "edits.json"
    edit = {"point": "UNIT1.SILENT.XI013.PV", "op": "add", "time": "2026-01-01T01:00:00Z", "value": 1.5}
    path.write_text(json.dumps([edit]), encoding="utf-8")
    present = ("--live", "--clock", "2026-01-02T00:00:00Z", "--zone", "Europe/Berlin", "--auth", "bearer", "--warm")
    with running("--points", "20", "--hours", "72", "--edits", str(path), *present, FERRY_SIM_TOKEN="abc") as client:
        client.headers["Authorization"] = "Bearer abc"
        yield client


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "small" in request.fixturenames:
        client = request.getfixturevalue("small")
        client.delete("/_plant/faults")
        client.delete("/_plant/hide")


@pytest.fixture(scope="module")
def catalogue(server: httpx.Client) -> list[dict[str, Any]]:
    own = server.get("/dataservers").json()["Items"][0]["WebId"]
    return server.get(f"/dataservers/{own}/points").json()["Items"]


def web_id(client: httpx.Client, name: str, **parameters: str) -> str:
    answer = client.get("/points", params={"path": f"\\\\FERRYSIM\\{name}", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["WebId"]


def recorded(client: httpx.Client, name: str, **parameters: str) -> list[dict[str, Any]]:
    answer = client.get(f"/streams/{web_id(client, name)}/recorded", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["Items"]


def decoded(streams: dict[str, list[dict[str, Any]]], types: dict[str, str]) -> pa.Table:
    """TimedValues by point name → samples, by the product's rules, with nothing but the json module behind it."""
    rows: list[tuple[str, int, float | None, str | None, int | None, int, int]] = []
    for name, items in streams.items():
        for item in items:
            rows.append((quote(name, safe=""), parse_iso(item["Timestamp"]), *event(item, types[name])))
    ids = [row[0] for row in rows]
    known = {point: place for place, point in enumerate(dict.fromkeys(ids))}
    times = pa.array([row[1] for row in rows], pa.int64())
    ties = number_ties(pa.array([known[point] for point in ids], pa.int32()).to_numpy(), times.to_numpy())
    columns = dict(
        zip(("value", "text", "code", "quality", "detail"), zip(*(row[2:] for row in rows), strict=True), strict=True)
    )
    return samples_table(
        {
            "point": pa.array(ids).dictionary_encode(),
            "time": times.cast(pa.timestamp("ns", "UTC")),
            "tie": pa.array(ties),
            **{name: pa.array(column, SCHEMA.field(name).type) for name, column in columns.items()},
        }
    )


def event(item: dict[str, Any], pi_type: str) -> tuple[float | None, str | None, int | None, int, int]:
    raw = item["Value"]
    quality = 192
    if not item["Good"]:
        quality = 0
    elif item["Questionable"]:
        quality = 72 if item["Substituted"] else 64
    elif item["Substituted"]:
        quality = 216
    if isinstance(raw, dict) and raw["IsSystem"]:
        return None, raw["Name"], raw["Value"], SYSTEM_QUALITY.get(raw["Value"], 0), raw["Value"]
    if isinstance(raw, dict):
        return None, raw["Name"], raw["Value"], quality, 0
    if isinstance(raw, str):
        if pi_type in NUMERIC and raw in ("NaN", "Infinity", "-Infinity"):
            return float(raw), None, None, quality, 0
        return None, raw, NO_CODE, quality, 0
    if isinstance(raw, int) and abs(raw) > 2**53:
        return None, "", raw, quality, 0
    kind = {"Float32": np.float32, "Float16": np.float16}.get(pi_type, np.float64)
    return float(kind(raw)), None, None, quality, 0


class TestMetadata:
    def test_landing_and_system(self, server: httpx.Client) -> None:
        assert set(server.get("/").json()["Links"]) == {"Self", "AssetServers", "DataServers", "System"}
        assert server.get("/system").json()["ProductVersion"]
        assert server.get("/system/status").json()["State"] == "Running"
        assert "Name" in server.get("/system/userinfo").json()
        assert server.get("/nowhere").status_code == 404
        assert "Message" in server.get("/nowhere").json()

    def test_data_servers(self, server: httpx.Client) -> None:
        found = server.get("/dataservers").json()["Items"][0]
        assert found["Path"] == "\\\\PIServers[FERRYSIM]"
        assert server.get("/dataservers", params={"name": "ferrysim"}).json()["WebId"] == found["WebId"]
        assert server.get("/dataservers", params={"path": found["Path"]}).json()["WebId"] == found["WebId"]
        assert server.get(f"/dataservers/{found['WebId']}").json()["Id"] == found["Id"]
        assert server.get("/dataservers", params={"name": "other"}).status_code == 404

    def test_points_come_in_pages(self, server: httpx.Client) -> None:
        link = server.get("/dataservers").json()["Items"][0]["Links"]["Points"]
        found: list[dict[str, Any]] = []
        page = server.get(link, params={"maxCount": "100"}).json()
        while True:
            found += page["Items"]
            if "Next" not in page["Links"]:
                break
            page = server.get(page["Links"]["Next"]).json()
        assert [point["Id"] for point in found] == list(range(1, POINTS + 1))
        assert server.get(link, params={"startIndex": str(POINTS)}).json()["Items"] == []
        assert len(server.get(link, params={"nameFilter": "unit1.*.pv"}).json()["Items"]) > 5
        only = server.get(link, params={"selectedFields": "Items.Name"}).json()
        assert set(only) == {"Items"} and set(only["Items"][0]) == {"Name"}
        over = server.get(link, params={"maxCount": "150001"})
        assert over.status_code == 400 and "is greater than the maximum allowed (150000)" in over.text

    def test_one_point_by_path_and_every_kind_of_web_id(
        self, server: httpx.Client, catalogue: list[dict[str, Any]]
    ) -> None:
        for point in catalogue[:26]:
            ids = {web_id(server, point["Name"], webIdType=kind) for kind in ("Full", "IDOnly", "PathOnly")}
            assert {text[0] for text in ids} == set("FIP")
            for own in ids:
                assert server.get(f"/points/{own}").json()["Name"] == point["Name"]
        assert point["WebId"].startswith("F1DP")
        assert server.get("/points", params={"path": "\\\\FERRYSIM\\nothing"}).status_code == 404
        assert server.get("/points/F1DPnonsense").status_code == 400
        assert server.get("/points", params={"path": "\\\\FERRYSIM\\x", "webIdType": "Y"}).status_code in (400, 404)

    def test_points_search(self, server: httpx.Client) -> None:
        def search(query: str, **more: str) -> httpx.Response:
            return server.get("/points/search", params={"query": query, **more})

        names = [point["Name"] for point in search("Tag:=UNIT1* AND PointType:=Digital").json()["Items"]]
        assert names == ["UNIT1.VALVE.XV007.ST", "UNIT1.MODE.HS008.ST", "UNIT1.CLASH.HS025.ST"]
        assert len(search('tag:="Pump*"').json()["Items"]) == 1
        assert search("Tag:=*", maxCount="1001").status_code == 400
        assert search("nonsense").status_code == 400

    def test_points_multiple_names_what_is_missing(self, server: httpx.Client) -> None:
        good = "\\\\FERRYSIM\\UNIT1.TEMP.TI002.PV"
        assert server.get("/points/multiple", params={"path": good}).status_code == 200
        answer = server.get("/points/multiple", params={"path": [good, "\\\\FERRYSIM\\gone"]})
        assert answer.status_code == 207
        first, second = answer.json()["Items"]
        assert first["Object"]["Name"] == "UNIT1.TEMP.TI002.PV" and second["Exception"]["Errors"]

    def test_attributes_and_digital_sets(self, server: httpx.Client) -> None:
        own = web_id(server, "UNIT1.MODE.HS008.ST")
        items = server.get(f"/points/{own}/attributes", params={"name": ["compdev", "digitalset"]}).json()["Items"]
        assert {item["Name"]: item["Value"] for item in items}["digitalset"] == "Modes"
        assert server.get(f"/points/{own}/attributes", params={"name": "nonsense"}).status_code == 400
        link = server.get("/dataservers").json()["Items"][0]["Links"]["EnumerationSets"]
        sets = {item["Name"]: item["Links"]["Values"] for item in server.get(link).json()["Items"]}
        system = {item["Value"]: item["Name"] for item in server.get(sets["SYSTEM"]).json()["Items"]}
        assert system[246] == "I/O Timeout" and system[253] == "Pt Created"
        modes = server.get(sets["Modes"]).json()["Items"]
        assert [item["Value"] for item in modes] == list(range(8))


class TestRecorded:
    def test_everything_served_is_the_truth(self, server: httpx.Client, catalogue: list[dict[str, Any]]) -> None:
        plant = Plant(Settings(points=POINTS, hours=HOURS))
        types = {point["Name"]: point["PointType"] for point in catalogue}
        streams: dict[str, list[dict[str, Any]]] = {}
        fields = "Items.Name;" + ";".join(
            f"Items.Items.{name}" for name in ("Timestamp", "Value", "Good", "Questionable", "Substituted")
        )
        sizes = {point["Name"]: plant.count(point["Id"], START, START + DAY_NS - 1) for point in catalogue}
        wide = [point for point in catalogue if sizes[point["Name"]] > 20_000]
        narrow = [point for point in catalogue if sizes[point["Name"]] <= 20_000]
        assert len(wide) >= 3
        window = {**DAY, "endTime": iso(START + DAY_NS // 8 - TICK_NS), "maxCount": "150000"}
        for points, span in ((wide, window), *((narrow[at : at + 50], ALL) for at in range(0, len(narrow), 50))):
            answer = server.get(
                "/streamsets/recorded",
                params={"webId": [point["WebId"] for point in points], "selectedFields": fields, **span},
            )
            assert answer.status_code == 200, answer.text[:200]
            items = answer.json()["Items"]
            assert [item["Name"] for item in items] != [point["Name"] for point in points]
            streams.update({item["Name"]: item["Items"] for item in items})
        assert len(streams) == POINTS
        found = tally(decoded(streams, types)).to_pylist()
        wanted = []
        for points, end_ns in ((wide, START + DAY_NS // 8), (narrow, START + DAY_NS)):
            wanted += tally(truth(plant, [point["Id"] for point in points], START, end_ns)).to_pylist()
        assert len(found) > 200
        assert found == sorted(wanted, key=lambda row: str(row["point"]))

    def test_the_servers_own_truth_agrees(self, server: httpx.Client) -> None:
        name = "Überlauf Pumpe 18 (°C)"
        answer = server.get("/_plant/truth", params={"point": name, "start": iso(START), "end": iso(START + DAY_NS)})
        table = pa.ipc.open_stream(answer.content).read_all()
        here = truth(Plant(Settings(points=POINTS, hours=HOURS)), [name], START, START + DAY_NS)
        assert table.equals(here) and len(table) > 100

    def test_the_full_item_has_the_documented_order(self, server: httpx.Client) -> None:
        document = server.get(f"/streams/{web_id(server, 'UNIT1.TEMP.TI002.PV')}/recorded", params=DAY).json()
        assert set(document) == {"Links", "Items", "UnitsAbbreviation"}
        assert list(document["Items"][0]) == [
            "Timestamp", "UnitsAbbreviation", "Good", "Questionable", "Substituted", "Annotated", "Value"
        ]  # fmt: skip
        assert len(document["Items"]) == 1_000  # the silent default

    def test_no_events_is_an_empty_list(self, server: httpx.Client) -> None:
        assert recorded(server, "UNIT1.SILENT.XI013.PV", **DAY) == []
        assert recorded(server, "UNIT1.TEMP.TI002.PV", startTime="2020-01-01", endTime="2020-01-02") == []

    def test_inside_takes_both_ends(self, server: httpx.Client) -> None:
        name = "UNIT1.EDGES.TI023.PV"
        ends = {"startTime": iso(START + HOUR_NS), "endTime": iso(START + 2 * HOUR_NS)}
        items = recorded(server, name, **ends)
        assert (items[0]["Timestamp"], items[-1]["Timestamp"]) == tuple(ends.values())
        instant = recorded(server, name, startTime=ends["startTime"], endTime=ends["startTime"])
        assert {item["Timestamp"] for item in instant} == {ends["startTime"]}

    def test_a_window_turned_round_comes_backwards(self, server: httpx.Client) -> None:
        name = "UNIT1.TIES.TI012.PV"
        up = recorded(server, name, **ALL)
        down = recorded(server, name, startTime=DAY["endTime"], endTime=DAY["startTime"], maxCount="150000")
        assert down == up[::-1] and len(up) > 5_000
        assert recorded(server, name, startTime=DAY["endTime"], endTime=DAY["startTime"], maxCount="3") == down[:3]

    def test_pages_by_time_find_every_tie(self, server: httpx.Client) -> None:
        name = "UNIT1.TIES.TI012.PV"
        whole = recorded(server, name, **ALL)
        stamps = [item["Timestamp"] for item in whole]
        heavy = max(set(stamps), key=stamps.count)
        assert stamps.count(heavy) > 5_000
        assert len(recorded(server, name, startTime=heavy, endTime=heavy)) == 1_000
        assert len(recorded(server, name, startTime=heavy, endTime=heavy, maxCount="150000")) == stamps.count(heavy)
        assert len({len(stamp) for stamp in stamps}) > 1

    def test_whole_seconds_have_no_fraction(self, server: httpx.Client) -> None:
        mixed = {"." in item["Timestamp"] for item in recorded(server, "UNIT1.EDGES.TI023.PV", **ALL)}
        assert mixed == {True, False}
        longest = max(len(item["Timestamp"]) for item in recorded(server, "UNIT1.TEMP.TI002.PV", **ALL))
        assert longest == len("2026-01-01T00:00:00.1234567Z")

    def test_boundaries(self, server: httpx.Client) -> None:
        name = "UNIT1.TEMP.TI002.PV"
        whole = [item["Timestamp"] for item in recorded(server, name, **ALL)]
        window = {"startTime": iso(START + HOUR_NS + TICK_NS), "endTime": iso(START + 2 * HOUR_NS)}
        inside = [item["Timestamp"] for item in recorded(server, name, **window)]
        outside = [item["Timestamp"] for item in recorded(server, name, boundaryType="Outside", **window)]
        at = whole.index(inside[0])
        assert outside == whole[at - 1 : at + len(inside) + 1]
        drawn = [item["Timestamp"] for item in recorded(server, name, boundaryType="Interpolated", **window)]
        assert drawn == [window["startTime"], *inside, window["endTime"]]
        own = web_id(server, name)
        assert server.get(f"/streams/{own}/recorded", params={"boundaryType": "Beside"}).status_code == 400

    def test_more_than_one_call_may_return_is_refused(self, server: httpx.Client) -> None:
        dense = [web_id(server, "UNIT1.FLOW.FI001.PV")]
        text = "Parameter 'maxCount' is greater than the maximum allowed (150000)."
        one = server.get(f"/streams/{dense[0]}/recorded", params={**DAY, "maxCount": "150001"})
        assert one.status_code == 400 and one.json() == {"Errors": [text]}
        many = server.get("/streamsets/recorded", params={**ALL, "webId": dense * 2})
        assert many.status_code == 400 and many.json() == {"Errors": [text]}
        assert server.get("/streamsets/recorded", params={**ALL, "webId": dense}).status_code == 200

    def test_a_bad_stream_spoils_the_set(self, server: httpx.Client) -> None:
        good = web_id(server, "UNIT1.TEMP.TI002.PV")
        assert server.get("/streamsets/recorded", params={"webId": [good, "F1DPx"]}).status_code == 400
        assert server.get("/streamsets/recorded").status_code == 400

    def test_future_points_hold_events_beyond_the_others(self, server: httpx.Client) -> None:
        late = {"startTime": "2026-01-10T00:00:00Z", "endTime": "2026-01-11T00:00:00Z"}
        assert len(recorded(server, "UNIT1.FORECAST.FC014.PV", **late)) > 50
        assert recorded(server, "UNIT1.TEMP.TI002.PV", **late) == []

    def test_bad_parameters(self, server: httpx.Client) -> None:
        own = web_id(server, "UNIT1.TEMP.TI002.PV")
        for bad in ({"startTime": "soon"}, {"maxCount": "0"}, {"maxCount": "x"}, {"timeZone": "Mars"}):
            answer = server.get(f"/streams/{own}/recorded", params=bad)
            assert answer.status_code == 400 and answer.json()["Errors"]
        assert server.get(f"/streams/{own}/recorded", params={"desiredUnits": "K"}).status_code == 409


class TestOtherReadings:
    def summary(self, client: httpx.Client, name: str, **more: str | list[str]) -> dict[str, dict[str, Any]]:
        own = web_id(client, name)
        items = client.get(f"/streams/{own}/summary", params={**DAY, **more}).json()["Items"]
        return {item["Type"]: item["Value"] for item in items}

    def test_event_weighted_count_and_total(self, server: httpx.Client) -> None:
        name = "UNIT1.TROUBLE.TI015.PV"
        items = recorded(server, name, **ALL)
        plain = [
            float(np.float32(item["Value"])) for item in items if item["Good"] and isinstance(item["Value"], float)
        ]
        types = ["Count", "Total", "Minimum", "Maximum", "Average", "Range", "PercentGood"]
        found = self.summary(server, name, summaryType=types, calculationBasis="EventWeighted")
        assert found["Count"]["Value"] == len(items)
        assert found["Total"]["Value"] == pytest.approx(sum(plain), rel=1e-12)
        assert (found["Minimum"]["Value"], found["Maximum"]["Value"]) == (min(plain), max(plain))
        assert found["Average"]["Value"] == pytest.approx(sum(plain) / len(plain))
        assert 0 < found["PercentGood"]["Value"] < 100

    def test_event_weighted_takes_both_ends_of_one_interval_only(self, server: httpx.Client) -> None:
        name, more = "UNIT1.EDGES.TI023.PV", {"summaryType": "Count", "calculationBasis": "EventWeighted"}
        window = {"startTime": iso(START), "endTime": iso(START + 2 * HOUR_NS)}
        whole = self.summary(server, name, **window, **more)["Count"]["Value"]
        assert whole == len(recorded(server, name, **window))
        own = web_id(server, name)
        parts = server.get(f"/streams/{own}/summary", params={**window, **more, "summaryDuration": "1h"}).json()
        assert [item["Value"]["Value"] for item in parts["Items"]] and len(parts["Items"]) == 2
        assert sum(item["Value"]["Value"] for item in parts["Items"]) == whole

    def test_only_count_works_without_numbers(self, server: httpx.Client) -> None:
        more = {"summaryType": ["Count", "Total"], "calculationBasis": "EventWeighted"}
        found = self.summary(server, "UNIT1.MODE.HS008.ST", **more)
        assert found["Count"]["Good"] and found["Count"]["Value"] > 0 and not found["Total"]["Good"]
        silent = self.summary(server, "UNIT1.SILENT.XI013.PV", **more)
        assert silent["Count"]["Value"] == 0 and silent["Total"]["Value"]["Name"] == "No Data"

    def test_time_weighted_count_is_seconds(self, server: httpx.Client) -> None:
        types = ["Count", "Average", "Minimum", "Maximum", "StdDev"]
        found = self.summary(server, "UNIT1.TEMP.TI002.PV", summaryType=types)
        assert 80_000 < found["Count"]["Value"] <= 86_400
        assert found["Minimum"]["Value"] < found["Average"]["Value"] < found["Maximum"]["Value"]

    def test_summaries_of_a_set(self, server: httpx.Client) -> None:
        names = ["UNIT1.TEMP.TI002.PV", "UNIT1.MODE.HS008.ST", "UNIT1.SILENT.XI013.PV"]
        params = {
            **DAY,
            "webId": [web_id(server, name) for name in names],
            "summaryType": "Count",
            "calculationBasis": "EventWeighted",
            "selectedFields": "Items.WebId;Items.Name;Items.Items.Type;Items.Items.Value.Value",
        }
        items = server.get("/streamsets/summary", params=params).json()["Items"]
        found = {item["Name"]: item["Items"][0]["Value"]["Value"] for item in items}
        assert found == {name: len(recorded(server, name, **ALL)) for name in names}

    def test_value_end_plot_and_interpolated(self, server: httpx.Client) -> None:
        own = web_id(server, "UNIT1.TEMP.TI002.PV")
        items = recorded(server, "UNIT1.TEMP.TI002.PV", **ALL)
        at = server.get(f"/streams/{own}/value", params={"time": items[5]["Timestamp"]}).json()
        assert at["Value"] == items[5]["Value"]
        last = server.get(f"/streams/{own}/end").json()
        assert last["Timestamp"] > items[-1]["Timestamp"]
        steps = server.get(f"/streams/{own}/interpolated", params={**DAY, "interval": "6h"}).json()["Items"]
        assert [item["Timestamp"] for item in steps] == [iso(START + hour * HOUR_NS) for hour in (0, 6, 12, 18)]
        drawn = server.get(f"/streams/{own}/plot", params={**DAY, "intervals": "4"}).json()["Items"]
        assert 4 <= len(drawn) <= 20
        numbers = [item["Value"] for item in items if item["Good"]]
        assert max(numbers) in [item["Value"] for item in drawn]
        ends = server.get("/streamsets/end", params={"webId": own}).json()["Items"]
        assert ends[0]["Value"]["Timestamp"] == last["Timestamp"]
        before = server.get(f"/streams/{own}/value", params={"time": "2020-01-01"}).json()
        assert before["Value"] == {"Name": "No Data", "Value": 248, "IsSystem": True}


class TestBatch:
    def post(self, client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post("/batch", json=body, headers=CSRF)
        assert answer.status_code == 207, answer.text
        return answer.json()

    def test_absolute_and_relative_resources(self, server: httpx.Client) -> None:
        own = web_id(server, "UNIT1.TEMP.TI002.PV")
        rest = f"/piwebapi/streams/{own}/recorded?startTime={DAY['startTime']}&maxCount=5"
        found = self.post(
            server,
            {
                "a": {"Method": "GET", "Resource": f"https://elsewhere:99{rest}"},
                "b": {"Method": "GET", "Resource": rest},
                "c": {"Method": "GET", "Resource": "/piwebapi/points/F1DPx"},
            },
        )
        assert found["a"]["Status"] == 200 and len(found["a"]["Content"]["Items"]) == 5
        assert found["a"]["Content"] == found["b"]["Content"]
        assert found["c"]["Status"] == 400 and found["c"]["Content"]["Errors"]

    def test_parents_parameters_and_dependants(self, server: httpx.Client) -> None:
        path = quote("\\\\FERRYSIM\\UNIT1.TEMP.TI002.PV")
        found = self.post(
            server,
            {
                "value": {
                    "Method": "GET",
                    "Resource": "/piwebapi/streams/{0}/value?time=2026-01-01T12:00:00Z",
                    "Parameters": ["$.point.Content.WebId"],
                    "ParentIds": ["point"],
                },
                "point": {"Method": "GET", "Resource": f"/piwebapi/points?path={path}"},
                "link": {"Method": "GET", "Resource": "$.point.Content.Links.EndValue", "ParentIds": ["point"]},
                "gone": {"Method": "GET", "Resource": "/piwebapi/points?path=%5C%5CFERRYSIM%5Cgone"},
                "child": {"Method": "GET", "Resource": "/piwebapi/system", "ParentIds": ["gone"]},
                "none": {
                    "Method": "GET",
                    "Resource": "/piwebapi/streams/{0}/value",
                    "Parameters": ["$.point.Content.Nothing[*].WebId"],
                    "ParentIds": ["point"],
                },
            },
        )
        assert list(found) == ["value", "point", "link", "gone", "child", "none"]
        statuses = {name: item["Status"] for name, item in found.items()}
        assert statuses == {"value": 200, "point": 200, "link": 200, "gone": 404, "child": 409, "none": 400}
        assert isinstance(found["child"]["Content"], str)
        assert "Some JSON paths did not select any tokens" in found["none"]["Content"]

    def test_templates_ask_once_for_each_token(self, server: httpx.Client) -> None:
        own = server.get("/dataservers").json()["Items"][0]["WebId"]
        found = self.post(
            server,
            {
                "points": {"Method": "GET", "Resource": f"/piwebapi/dataservers/{own}/points?maxCount=3"},
                "ends": {
                    "Method": "GET",
                    "RequestTemplate": {"Resource": "/piwebapi/streams/{0}/end?selectedFields=Timestamp"},
                    "Parameters": ["$.points.Content.Items[*].WebId"],
                    "ParentIds": ["points"],
                },
            },
        )["ends"]
        assert found["Status"] == 207
        assert [item["Status"] for item in found["Content"]["Items"]] == [200, 200, 200]

    def test_a_bad_batch(self, server: httpx.Client) -> None:
        assert server.post("/batch", content="[1", headers=CSRF).status_code == 400
        circle = {"a": {"Method": "GET", "Resource": "/piwebapi/", "ParentIds": ["a"]}}
        assert server.post("/batch", json=circle, headers=CSRF).status_code == 400
        content = {"a": {"Method": "GET", "Resource": "/piwebapi/", "Content": {"not": "a string"}}}
        assert self.post(server, content)["a"]["Status"] == 400
        foreign = {"a": {"Method": "GET", "Resource": "https://example.org/"}}
        assert self.post(server, foreign)["a"]["Status"] == 400


class TestDoor:
    def test_csrf_and_sizes(self, server: httpx.Client) -> None:
        assert server.post("/batch", json={}).status_code == 403
        assert server.post("/batch", content=b" " * 4_194_305, headers=CSRF).status_code == 413
        assert server.get("/points", params={"path": "x" * 17_000}).status_code == 414
        assert server.get("/batch").status_code == 405


class TestFaults:
    def order(self, client: httpx.Client, **fault: Any) -> None:
        answer = client.post("/_plant/faults", json=fault)
        assert answer.status_code == 200, answer.text

    def test_statuses(self, small: httpx.Client) -> None:
        self.order(small, kind=429, retry_after="3")
        refused = small.get("/")
        assert refused.status_code == 429 and refused.headers["Retry-After"] == "3"
        self.order(small, kind=503, times=2, path="/system/status")
        struck = [small.get(path).status_code for path in ("/", *["/system/status"] * 3)]
        assert struck == [200, 503, 503, 200]
        self.order(small, kind=401, after=2, times=-1)
        assert [small.get("/").status_code for _ in range(4)] == [200, 200, 401, 401]

    def test_probability_is_repeatable_in_kind(self, small: httpx.Client) -> None:
        self.order(small, kind=503, probability=0.5)
        statuses = [small.get("/").status_code for _ in range(60)]
        assert 10 < statuses.count(503) < 50

    def test_bodies(self, small: httpx.Client) -> None:
        own = web_id(small, "UNIT1.TEMP.TI002.PV")
        url = f"/streams/{own}/recorded"
        self.order(small, kind="truncated")
        cut = small.get(url, params=DAY)
        assert cut.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            cut.json()
        self.order(small, kind="web_exception")
        broken = small.get(url, params=DAY)
        assert broken.status_code == 200 and broken.json()["WebException"]["StatusCode"] == 500
        assert len(broken.json()["Items"]) == 500
        assert len(small.get(url, params=DAY).json()["Items"]) == 1_000

    def test_connections(self, small: httpx.Client) -> None:
        for kind, error in (("reset", httpx.ReadError), ("cut", httpx.RemoteProtocolError)):
            self.order(small, kind=kind)
            with pytest.raises(error):
                small.get("/system")
            assert small.get("/system").status_code == 200
        self.order(small, kind="slow", seconds=0.4)
        begun = time.monotonic()
        assert small.get("/").status_code == 200 and time.monotonic() - begun >= 0.4

    def test_inside_a_batch(self, small: httpx.Client) -> None:
        self.order(small, kind=429, inside_batch=True, path="/system$")
        body = {name: {"Method": "GET", "Resource": f"/piwebapi/{name}"} for name in ("system", "dataservers")}
        found = small.post("/batch", json=body, headers=CSRF).json()
        assert (found["system"]["Status"], found["dataservers"]["Status"]) == (429, 200)

    def test_nonsense_is_refused(self, small: httpx.Client) -> None:
        assert small.post("/_plant/faults", json={"kind": "earthquake"}).status_code == 400
        assert small.post("/_plant/faults", json={"kind": "503", "tims": 1}).status_code == 400


class TestChanges:
    def test_edits_are_served_and_counted(self, small: httpx.Client) -> None:
        name = "UNIT1.PRESSURE.PI004.PV"
        before = recorded(small, name, **DAY)
        told = small.post(
            "/_plant/edits",
            json=[
                {"point": name, "op": "add", "time": "2026-01-01T06:00:00.0000001Z", "value": 17, "substituted": True},
                {
                    "point": name,
                    "op": "change",
                    "time": before[0]["Timestamp"],
                    "value": {"Name": "Shutdown", "Value": 254, "IsSystem": True},
                },
            ],
        ).json()["edits"]
        assert len(told) == 2
        after = recorded(small, name, **DAY)
        assert len(after) == len(before) + 1
        assert after[0]["Value"]["Value"] == 254 and not after[0]["Good"]
        added = next(item for item in after if item["Timestamp"] == "2026-01-01T06:00:00.0000001Z")
        assert added["Value"] == 17 and added["Substituted"]
        own = web_id(small, name)
        count = small.get(
            f"/streams/{own}/summary", params={**DAY, "summaryType": "Count", "calculationBasis": "EventWeighted"}
        ).json()["Items"][0]["Value"]["Value"]
        assert count == len(after)
        drawn = {"seed": 5, "start": iso(START), "end": iso(START + DAY_NS), "count": 8}
        generated = small.post("/_plant/edits", json=drawn).json()["edits"]
        assert {one["kind"] for one in generated} == {"add", "change", "swap", "remove"}
        asked = {"point": name, "start": iso(START), "end": iso(START + DAY_NS)}
        table = pa.ipc.open_stream(small.get("/_plant/truth", params=asked).content).read_all()
        assert len(table) == len(recorded(small, name, **DAY))
        assert small.post("/_plant/edits", json=[{"point": "x", "op": "add"}]).status_code == 400
        assert len(small.get("/_plant/edits").json()["edits"]) == len(told) + len(generated)

    def test_hidden_windows(self, small: httpx.Client) -> None:
        name = "UNIT1.LEVEL.LI003.PV"
        whole = recorded(small, name, **{**DAY, "maxCount": "2000"})
        small.post("/_plant/hide", json={"start": iso(START), "end": iso(START + 12 * HOUR_NS)})
        half = recorded(small, name, **{**DAY, "maxCount": "2000"})
        assert half == [item for item in whole if item["Timestamp"] >= iso(START + 12 * HOUR_NS)]
        small.delete("/_plant/hide")
        assert recorded(small, name, **{**DAY, "maxCount": "2000"}) == whole

    def test_points_come_change_their_name_and_go(self, small: httpx.Client) -> None:
        def ask(**given: Any) -> httpx.Response:
            return small.post("/_plant/points", json=given)

        made = ask(op="add", name="NEW.PV", pi_type="Int32", interval_s=600).json()
        assert made["number"] == 41
        full, path = web_id(small, "NEW.PV"), web_id(small, "NEW.PV", webIdType="PathOnly")
        items = recorded(small, "NEW.PV", **DAY)
        assert items
        assert ask(op="rename", name="NEW.PV", to="UNIT1.TEMP.TI002.PV").status_code == 400
        ask(op="rename", name="NEW.PV", to="NEWER.PV")
        assert small.get(f"/points/{full}").json()["Name"] == "NEWER.PV"
        assert small.get(f"/points/{path}").status_code == 404
        assert recorded(small, "NEWER.PV", **DAY) == items
        ask(op="delete", name="NEWER.PV")
        assert small.get(f"/streams/{full}/recorded").status_code == 404


class TestVariants:
    def test_a_thousand_is_the_default_page_of_points(self, variant: httpx.Client) -> None:
        link = variant.get("/dataservers").json()["Items"][0]["Links"]["Points"]
        assert len(variant.get(link).json()["Items"]) == 1_000

    def test_the_limit_can_count_per_stream(self, variant: httpx.Client) -> None:
        ids = [web_id(variant, f"UNIT1.{name}.PV") for name in ("TEMP.TI002", "LEVEL.LI003")]
        params = {**DAY, "webId": ids, "maxCount": "2000"}
        answer = variant.get("/streamsets/recorded", params=params)
        assert answer.status_code == 200
        assert sum(len(item["Items"]) for item in answer.json()["Items"]) > 2_000

    def test_a_count_can_leave_bad_events_out(self, variant: httpx.Client) -> None:
        own = web_id(variant, "UNIT1.TROUBLE.TI015.PV")
        items = recorded(variant, "UNIT1.TROUBLE.TI015.PV", **{**ALL, "maxCount": "2000"})
        params = {**DAY, "summaryType": "Count", "calculationBasis": "EventWeighted"}
        found = variant.get(f"/streams/{own}/summary", params=params).json()["Items"][0]["Value"]["Value"]
        assert found == sum(item["Good"] for item in items) < len(items)

    def test_nan_can_be_a_bare_token(self, variant: httpx.Client) -> None:
        own = web_id(variant, "UNIT1.BIG.QI016.PV")
        text = variant.get(f"/streams/{own}/recorded", params=DAY).text
        assert '"Value":NaN}' in text and '"NaN"' not in text

    def test_basic_and_the_rate_limit(self) -> None:
        secrets = {"FERRY_SIM_USER": "ann", "FERRY_SIM_PASSWORD": "s:ü"}
        with running("--points", "5", "--auth", "basic", "--rate-limit", "20", **secrets) as client:
            refused = client.get("/system/userinfo")
            assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Basic ")
            pair = base64.b64encode("ann:s:ü".encode()).decode()
            answer = client.get("/system/userinfo", headers={"Authorization": f"Basic {pair}"})
            assert answer.json()["Name"] == "ann"
            assert client.get("/", auth=("ann", "wrong")).status_code == 401
            time.sleep(1.1)
            client.headers["Authorization"] = f"Basic {pair}"
            answers = [client.get("/") for _ in range(25)]
            assert [answer.status_code for answer in answers[:20]] == [200] * 20
            assert answers[24].status_code == 429 and "Rate limit was reached" in answers[24].text
            time.sleep(1.1)
            assert client.get("/").status_code == 200
            stats = client.get("/_plant/stats").json()
            assert stats["max_requests_in_1s"] >= 25 and stats["statuses"]["429"] >= 5

    def test_bearer(self, other: httpx.Client) -> None:
        assert other.get("/").status_code == 200
        refused = other.get("/", headers={"Authorization": "Bearer abd"})
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"

    def test_edits_from_a_file_are_there_at_the_start(self, other: httpx.Client) -> None:
        assert [item["Value"] for item in recorded(other, "UNIT1.SILENT.XI013.PV", **DAY)] == [1.5]

    def test_the_plants_present_can_be_set_and_moved(self, other: httpx.Client) -> None:
        name = "UNIT1.TEMP.TI002.PV"
        window = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-04T00:00:00Z", "maxCount": "150000"}
        first = recorded(other, name, **window)
        assert first[-1]["Timestamp"] < "2026-01-02T00:05"
        other.post("/_plant/clock", json={"advance_s": 7_200})
        assert recorded(other, name, **window)[: len(first)] == first
        assert len(recorded(other, name, **window)) > len(first) + 60
        today = recorded(other, name, startTime="t", maxCount="150000")
        assert "2026-01-01T23:00" <= today[0]["Timestamp"] < "2026-01-01T23:20"
